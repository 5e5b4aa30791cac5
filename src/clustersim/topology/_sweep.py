"""Traffic to one destination over all shortest paths of the fabric at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.topology._wires import Wires

__all__ = ["UNREACHED", "Fabric", "Toward"]

UNREACHED = -1
"""Hops from where no path leads to the destination."""

Numbers = NDArray[np.int64]
Rates = NDArray[np.float64]


class Toward(NamedTuple):
    """The ways to one destination.

    Parameters
    ----------
    hops
        Links to it from each place of the fabric, or `UNREACHED`.
    paths
        Number of shortest paths to it from each place.
    levels
        Of each distance, nearest first, the arcs that lead one link nearer.
    """

    hops: Numbers
    paths: Rates
    levels: list[Numbers]


class Fabric:
    """The vertices that join nodes and the links among them, as arrays.

    *Equation.* Equal-cost multi-path in the mean: what is at a vertex leaves it in equal parts
    over all links that lead one link nearer to the destination.

    Parameters
    ----------
    first_only
        Take the first of these links only, in the graph's order.

    Attributes
    ----------
    place
        Of each vertex among the fabric's, or -1.
    link
        Of each arc, its number among all links.
    """

    def __init__(self, wires: Wires, *, first_only: bool) -> None:
        vertices = [vertex for vertex, inside in enumerate(wires.in_fabric) if inside]
        self.place = np.full(len(wires.node), -1, dtype=np.int64)
        self.place[vertices] = np.arange(len(vertices))
        self._first_only = first_only
        arcs = [
            (vertex, other, link)
            for vertex in vertices
            for other, link in wires.out[vertex]
            if wires.in_fabric[other]
        ]
        columns = np.array(arcs, dtype=np.int64).reshape(len(arcs), 3)
        self.link: Numbers = columns[:, 2]
        self._source, self._target = self.place[columns[:, 0]], self.place[columns[:, 1]]
        self._by_target = np.argsort(self._target, kind="stable")
        self._starts = np.searchsorted(self._target[self._by_target], np.arange(len(vertices) + 1))
        self.size = len(vertices)

    def toward(self, targets: Numbers) -> Toward:
        """Return the ways to the nearest of some places, breadth first from there."""
        hops = np.full(self.size, UNREACHED, dtype=np.int64)
        hops[targets] = 0
        paths = np.zeros(self.size)
        paths[targets] = 1.0
        levels: list[Numbers] = []
        frontier = targets
        while frontier.size:
            arcs = self._into(frontier)
            sources = self._source[arcs]
            hops[sources[hops[sources] == UNREACHED]] = len(levels) + 1
            nearer = arcs[hops[sources] == len(levels) + 1]
            if self._first_only:
                nearer = np.sort(nearer)
                nearer = nearer[np.unique(self._source[nearer], return_index=True)[1]]
            sources = self._source[nearer]
            np.add.at(paths, sources, paths[self._target[nearer]])
            frontier = np.unique(sources)
            if frontier.size:
                levels.append(nearer)
        return Toward(hops, paths, levels)

    def _into(self, places: Numbers) -> Numbers:
        """Arcs that end at some places."""
        starts = self._starts[places]
        counts = self._starts[places + 1] - starts
        offsets = np.repeat(starts - np.cumsum(counts) + counts, counts)
        found: Numbers = self._by_target[offsets + np.arange(counts.sum())]
        return found

    def spread(self, way: Toward, amount: Rates, load: Rates) -> Rates:
        """Send what is at each place to the destination; add it to the load of the arcs.

        Returns
        -------
        What arrives at each place of the destination.
        """
        there = amount.copy()
        for arcs in reversed(way.levels):
            sources = self._source[arcs]
            ways_out = np.bincount(sources, minlength=self.size)
            part = there[sources] / ways_out[sources]
            load[arcs] += part
            np.add.at(there, self._target[arcs], part)
            there[sources] = 0.0
        return there
