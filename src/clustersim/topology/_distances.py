"""Next hops over the fabric, one breadth-first search per destination."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import compress
from operator import itemgetter

import numpy as np

from clustersim.topology._wires import Wires

__all__ = ["UNREACHED", "FabricDistances", "Step", "Toward"]

Step = tuple[int, int]
"""A next vertex, and the link to it."""

UNREACHED = int(np.iinfo(np.int32).max)
"""Hop count of what cannot be reached."""

_NO_STEPS: tuple[Step, ...] = ()


class Toward:
    """Next hops from anywhere to the nearest of some fabric vertices, found when asked for.

    Parameters
    ----------
    entries
        The vertices that are gone to.
    hops
        Fewest links to one of them, by the place of a vertex among the fabric's.
    distances
        Knows the fabric's links.
    """

    __slots__ = ("_distances", "_kept", "entries", "hops")

    def __init__(self, entries: tuple[int, ...], hops: array[int], distances: FabricDistances) -> None:
        self.entries = frozenset(entries)
        self.hops = hops
        self._distances = distances
        self._kept: dict[int, tuple[Step, ...]] = {}

    def steps(self, at: int) -> tuple[Step, ...]:
        """Return the steps into the fabric with the fewest hops left; none if none leads there."""
        found = self._kept.get(at)
        if found is None:
            place = self._distances.local[at]
            last = place >= 0 and self.hops[place] == 1
            found = self._kept[at] = self._last_steps(at) if last else self._nearest_steps(at)
        return found

    def _last_steps(self, at: int) -> tuple[Step, ...]:
        """Steps into the entries themselves, in the order of the graph's links."""
        between = self._distances.links_between
        found = [step for entry in self.entries for step in between(at, entry)]
        return tuple(sorted(found, key=itemgetter(1)))

    def _nearest_steps(self, at: int) -> tuple[Step, ...]:
        ahead, places = self._distances.out[at]
        left = [*map(self.hops.__getitem__, places)]
        least = min(left, default=UNREACHED)
        if least == UNREACHED:
            return _NO_STEPS
        return ahead if left.count(least) == len(left) else tuple(compress(ahead, map(least.__eq__, left)))


class FabricDistances:
    """Ways to every set of fabric vertices that is asked for, computed once per set and kept.

    The fabric's vertices are `Wires.in_fabric`. GPUs that hang on the same switch share one
    search, so a cluster of N GPUs costs as many searches as it has leaf switches, each over
    switches only.

    `local` maps a vertex to its place among the fabric's vertices, or to -1; `searches`
    counts what routing has cost so far.
    """

    def __init__(self, wires: Wires) -> None:
        fabric = [vertex for vertex, inside in enumerate(wires.in_fabric) if inside]
        self.local = [-1] * len(wires.node)
        for place, vertex in enumerate(fabric):
            self.local[vertex] = place
        self._into = wires.into
        ahead = [tuple([step for step in steps if self.local[step[0]] >= 0]) for steps in wires.out]
        self.out = [(steps, tuple([self.local[other] for other, _ in steps])) for steps in ahead]
        """For each vertex its steps into the fabric, and the places that they lead to."""
        self._between: dict[int, dict[int, list[Step]]] = {}
        behind = [sorted({self.local[other] for other, _ in wires.into[vertex]} - {-1}) for vertex in fabric]
        self._sources = np.array([place for places in behind for place in places], dtype=np.int64)
        self._first = np.cumsum([0, *map(len, behind)])
        self._kept: dict[tuple[int, ...], Toward] = {}
        self._entries: dict[int, tuple[int, ...]] = {}
        self.searches = 0

    def entries(self, port: int) -> tuple[int, ...]:
        """Return the fabric vertices that have a link to a port (or the port, if it is one)."""
        found = self._entries.get(port)
        if found is None:
            here = {port} if self.local[port] >= 0 else {other for other, _ in self._into[port]}
            found = self._entries[port] = tuple(sorted(v for v in here if self.local[v] >= 0))
        return found

    def toward(self, entries: tuple[int, ...]) -> Toward:
        """Return the ways to the nearest of `entries`."""
        found = self._kept.get(entries)
        if found is None:
            self.searches += 1
            hops = self._search([self.local[vertex] for vertex in entries])
            found = self._kept[entries] = Toward(entries, hops, self)
        return found

    def links_between(self, one: int, other: int) -> Sequence[Step]:
        """Return the steps over the links from one vertex to another."""
        behind = self._between.get(other)
        if behind is None:
            behind = self._between[other] = {}
            for vertex, link in self._into[other]:
                behind.setdefault(vertex, []).append((other, link))
        return behind.get(one, ())

    def to(self, entries: tuple[int, ...]) -> array[int]:
        """Return the hops to the nearest of `entries`, by the place in `local`."""
        return self.toward(entries).hops

    def _search(self, targets: list[int]) -> array[int]:
        hops = np.full(len(self._first) - 1, UNREACHED, dtype=np.int32)
        frontier = np.array(targets, dtype=np.int64)
        distance = 0
        hops[frontier] = 0
        while frontier.size:
            distance += 1
            starts = self._first[frontier]
            counts = self._first[frontier + 1] - starts
            offsets = np.repeat(starts - np.cumsum(counts) + counts, counts)
            behind = self._sources[offsets + np.arange(counts.sum())]
            hops[behind[hops[behind] == UNREACHED]] = distance
            frontier = np.flatnonzero(hops == distance)
        return array("i", hops.tobytes())
