"""Tiers of the fabric: how far up each switch is, and what is above and below it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clustersim.topology.network import Topology

__all__ = ["Levels", "levels_of"]


@dataclass(frozen=True)
class Levels:
    """The level of every vertex: 0 inside nodes, 1 next to them, and so on upwards.

    `names` gives each level's name: the stem of its switches' names (`leaf`, `spine`).
    """

    of: tuple[int | None, ...]
    names: tuple[str, ...]

    def members(self, level: int) -> list[int]:
        """Return the vertices of one level."""
        return [vertex for vertex, own in enumerate(self.of) if own == level]

    @property
    def top(self) -> int:
        """The highest level."""
        return len(self.names) - 1


def levels_of(topology: Topology) -> Levels:
    """Return the levels: a switch's own `level` where it has one, else its hops from the nearest node."""
    wires = topology.wires
    given = [fields.get("level") for _, fields in topology.graph.nodes(data=True)]
    levels: list[int | None] = [
        0 if node is not None else level for node, level in zip(wires.node, given, strict=True)
    ]
    frontier = [vertex for vertex, level in enumerate(levels) if level is not None]
    while frontier:
        ahead = []
        for vertex in frontier:
            for other, _ in wires.out[vertex]:
                if levels[other] is None and wires.forwards[other]:
                    levels[other] = (levels[vertex] or 0) + 1
                    ahead.append(other)
        frontier = ahead
    top = max(level or 0 for level in levels)
    names = ["node", *(_stem(wires.names, levels, level) for level in range(1, top + 1))]
    return Levels(of=tuple(levels), names=tuple(names))


def _stem(names: tuple[str, ...], levels: list[int | None], level: int) -> str:
    """Return what the names of a level's switches have in common: letters before a number, after `/`."""
    stems = {
        re.split(r"[\d.]", name.rpartition("/")[2])[0].rstrip("-_")
        for name, own in zip(names, levels, strict=True)
        if own == level
    }
    return stems.pop() if len(stems) == 1 and "" not in stems else f"level {level}"
