"""Adaptive routing: of all equally short paths, the one whose busiest link is least used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.topology._distances import Step
from clustersim.topology._inside import Pick
from clustersim.topology.routing import Layer

__all__ = ["least_used"]

_Uses = tuple[float, ...]


def least_used(layers: Sequence[Layer], start: int, use: Callable[[int], float], pick: Pick) -> list[int]:
    """Return the links of the path that is least used; `pick` chooses among equal ones.

    *Equation.* Let the uses of a path's links be sorted, largest first. The path taken has the
    lexicographically least such list: its busiest link is as little used as it can be, then its
    second busiest, and so on. Found backwards from the end, hop by hop, since adding the same
    link to two lists keeps their order.

    **Valid when** switches know the use of links further on, as InfiniBand's and Spectrum-X's
    adaptive routing learn it from congestion notifications. **Checked by:**
    tests/topology/test_routing_modes.py.
    """
    best: dict[int, Sequence[Step]] = {}
    uses_left: dict[int, _Uses] = {}
    for layer in reversed(layers):
        ahead, uses_left = uses_left, {}
        for at, steps in layer:
            options = [(_with(use(link), ahead.get(other, ())), (other, link)) for other, link in steps]
            least = min(uses for uses, _ in options)
            uses_left[at] = least
            best[at] = [step for uses, step in options if uses == least]
    links: list[int] = []
    at = start
    while len(links) < len(layers):
        at, link = pick(best[at], len(links))
        links.append(link)
    return links


def _with(use: float, uses: _Uses) -> _Uses:
    return tuple(sorted((use, *uses), reverse=True))
