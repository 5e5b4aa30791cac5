"""Where the switches or chips of a grid are drawn, and which cables join them."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.topology.network import Topology

__all__ = ["Cable", "Lattice", "lattice_of"]

_MOST_PLACES = 600
"""More would be too dense to read."""
_OBLIQUE = (0.34, 0.26)
"""How far the third dimension leads right and up."""


@dataclass(frozen=True)
class Cable:
    """A link between two places; `wraps` where it leads round the end of a dimension."""

    start: tuple[float, float]
    end: tuple[float, float]
    wraps: bool


@dataclass(frozen=True)
class Lattice:
    """Places with their names, and the cables among them."""

    places: dict[str, tuple[float, float]]
    cables: list[Cable]


def lattice_of(topology: Topology) -> Lattice | None:
    """Return the picture of a grid of at most `_MOST_PLACES`; None for other topologies."""
    if topology.dimensions is None:
        return None
    at = {
        name: tuple(fields["coordinates"])
        for name, fields in topology.graph.nodes(data=True)
        if fields.get("coordinates") is not None and (fields["kind"] == "switch" or fields.get("forwards"))
    }
    if not at or len(at) > _MOST_PLACES:
        return None
    sizes = topology.dimensions[: len(next(iter(at.values())))]
    places = {name: _place(spot, sizes) for name, spot in at.items()}
    cables = [
        Cable(places[one], places[other], _is_long(at[one], at[other]))
        for one, other in {tuple(sorted(ends)) for ends in topology.link_ends}
        if one in places and other in places
    ]
    return Lattice(places, cables)


def _place(at: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[float, float]:
    """Return the spot: first dimension right, second up, third obliquely, others in panels beside."""
    x, y = float(at[0]), float(at[1]) if len(at) > 1 else 0.0
    if len(at) > 2:
        x, y = x + _OBLIQUE[0] * at[2], y + _OBLIQUE[1] * at[2]
    width = sizes[0] + (_OBLIQUE[0] * sizes[2] if len(sizes) > 2 else 0.0) + 0.6
    panel = 0
    for place, size in zip(at[3:], sizes[3:], strict=True):
        panel = panel * size + place
    return x + panel * width, y


def _is_long(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 1
