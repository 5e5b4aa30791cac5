"""Rings over GPUs that are joined directly: Hamiltonian cycles that share no lane."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["pack_cycles"]

_SMALLEST = 3
_LARGEST = 16
_STEPS = 20_000
"""Steps of the search for one cycle, after which it gives up."""


def pack_cycles(lanes: Mapping[tuple[int, int], int], *, size: int) -> list[tuple[int, ...]]:
    """Return directed cycles through all vertices 0…size-1, no lane used twice.

    Greedy: a depth-first search that prefers the pairs with most lanes left finds one cycle after
    another; each is used in both directions. Eight GPUs in full mesh give 6 cycles of the 7 that
    the lanes could hold; the hybrid cube mesh of DGX-1V gives 6 of 6.

    Parameters
    ----------
    lanes
        (from, to) to the number of lanes; both directions alike.

    **Valid when** lanes are the same in both directions and there are at most 16 vertices; beyond,
    and where there is no cycle, the result is empty.
    **Checked by:** tests/collectives/test_cycles.py.
    """
    if not _SMALLEST <= size <= _LARGEST:
        return []
    left = dict(lanes)
    cycles: list[tuple[int, ...]] = []
    while (cycle := _find(left, size)) is not None:
        cycles += [cycle, cycle[::-1]]
        for one, other in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            left[one, other] -= 1
            left[other, one] -= 1
    return cycles


def _find(lanes: Mapping[tuple[int, int], int], size: int) -> tuple[int, ...] | None:
    """Depth-first search for one cycle through all vertices."""
    path = [0]
    steps = 0

    def extend() -> bool:
        nonlocal steps
        steps += 1
        if steps > _STEPS:
            return False
        here = path[-1]
        if len(path) == size:
            return lanes.get((here, 0), 0) > 0
        ahead = [vertex for vertex in range(size) if lanes.get((here, vertex), 0) > 0 and vertex not in path]
        for vertex in sorted(ahead, key=lambda vertex: -lanes[here, vertex]):
            path.append(vertex)
            if extend():
                return True
            path.pop()
        return False

    return tuple(path) if extend() else None
