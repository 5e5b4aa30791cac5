"""Hop counts over the fabric's switches, one breadth-first search per destination."""

from __future__ import annotations

import numpy as np

from clustersim.topology._wires import Wires

__all__ = ["UNREACHED", "FabricDistances"]

UNREACHED = 1 << 30
"""Hop count of what cannot be reached."""


class FabricDistances:
    """Hops from every fabric vertex to a set of them, computed once per set and kept.

    The fabric's vertices are those outside all nodes that forward. GPUs that hang on the
    same switch share one search, so a cluster of N GPUs costs as many searches as it has
    leaf switches, each over switches only.

    `local` maps a vertex to its place among the fabric's vertices, or to −1; `searches`
    counts what routing has cost so far.
    """

    def __init__(self, wires: Wires) -> None:
        fabric = [v for v, node in enumerate(wires.node) if node is None and wires.forwards[v]]
        self.local = [-1] * len(wires.node)
        for place, vertex in enumerate(fabric):
            self.local[vertex] = place
        self._into = wires.into
        behind = [sorted({self.local[other] for other, _ in wires.into[vertex]} - {-1}) for vertex in fabric]
        self._sources = np.array([place for places in behind for place in places], dtype=np.int64)
        self._first = np.cumsum([0, *map(len, behind)])
        self._kept: dict[tuple[int, ...], list[int]] = {}
        self._entries: dict[int, tuple[int, ...]] = {}
        self.searches = 0

    def entries(self, port: int) -> tuple[int, ...]:
        """Return the fabric vertices that have a link to a port (or the port, if it is one)."""
        found = self._entries.get(port)
        if found is None:
            here = {port} if self.local[port] >= 0 else {other for other, _ in self._into[port]}
            found = self._entries[port] = tuple(sorted(v for v in here if self.local[v] >= 0))
        return found

    def to(self, entries: tuple[int, ...]) -> list[int]:
        """Return the hops to the nearest of `entries`, by the place in `local`."""
        hops = self._kept.get(entries)
        if hops is None:
            self.searches += 1
            hops = self._kept[entries] = self._search([self.local[vertex] for vertex in entries])
        return hops

    def _search(self, targets: list[int]) -> list[int]:
        hops = np.full(len(self._first) - 1, UNREACHED)
        frontier = np.array(targets, dtype=np.int64)
        distance = 0
        while frontier.size:
            hops[frontier] = distance
            starts = self._first[frontier]
            counts = self._first[frontier + 1] - starts
            offsets = np.repeat(starts - np.cumsum(counts) + counts, counts)
            behind = self._sources[offsets + np.arange(counts.sum())]
            frontier = np.unique(behind[hops[behind] == UNREACHED])
            distance += 1
        found: list[int] = hops.tolist()
        return found
