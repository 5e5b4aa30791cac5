"""Saturated time of links that one route set fills by itself.

A class that runs at its cap fills its narrowest links. It only marks its entries in the log;
which links those are is worked out when somebody asks, or when a capacity changes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.engine.fabric.route_table import RouteTable
from clustersim.engine.fabric.sharing import FULL

__all__ = ["FullSpans", "Saturation"]

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


class Saturation:
    """Seconds saturated, first and last saturated time, of links or of route sets."""

    def __init__(self, count: int) -> None:
        self.seconds: FloatArray = np.zeros(count)
        self.first_s: FloatArray = np.full(count, np.inf)
        self.last_s: FloatArray = np.full(count, -np.inf)

    def grown(self, count: int) -> Saturation:
        """Return the same with room for `count`."""
        other = Saturation(count)
        for mine, its in zip(self._columns(), other._columns(), strict=True):
            its[: len(mine)] = mine
        return other

    def add(self, where: IntArray, seconds: FloatArray, first_s: FloatArray, last_s: FloatArray) -> None:
        """Add spans; one place may occur several times."""
        np.add.at(self.seconds, where, seconds)
        np.minimum.at(self.first_s, where, first_s)
        np.maximum.at(self.last_s, where, last_s)

    def clear(self, where: IntArray) -> None:
        """Forget some."""
        self.seconds[where], self.first_s[where], self.last_s[where] = 0.0, np.inf, -np.inf

    def copy(self) -> Saturation:
        """Return a copy."""
        return self.grown(len(self.seconds))

    def _columns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.seconds, self.first_s, self.last_s


class FullSpans:
    """Collects the marked spans of route sets, and credits them to their narrowest links."""

    def __init__(self, table: RouteTable, links: int) -> None:
        self._table = table
        self._of_route_sets = Saturation(0)
        self._of_links = Saturation(links)

    def add(self, route_sets: IntArray, from_s: FloatArray, to_s: FloatArray) -> None:
        """Note spans in which these route sets filled their narrowest links."""
        known = len(self._table.route_sets)
        if len(self._of_route_sets.seconds) < known:
            self._of_route_sets = self._of_route_sets.grown(known)
        lasting = to_s > from_s
        span_s = (to_s - from_s)[lasting]
        self._of_route_sets.add(route_sets[lasting], span_s, from_s[lasting], to_s[lasting])

    def capacity_changes(self, link: int, capacities: FloatArray) -> None:
        """Credit what route sets on this link did, before its capacity is no longer what it was."""
        table = self._table
        using = np.searchsorted(table.offsets, np.flatnonzero(table.links == link), side="right") - 1
        using = using[using < len(self._of_route_sets.seconds)]
        using = using[self._of_route_sets.seconds[using] > 0.0]
        self._credit(using, capacities, self._of_links)
        self._of_route_sets.clear(using)

    def of_links(self, capacities: FloatArray) -> Saturation:
        """Return the saturation of every link."""
        of_links = self._of_links.copy()
        self._credit(np.flatnonzero(self._of_route_sets.seconds), capacities, of_links)
        return of_links

    def _credit(self, route_sets: IntArray, capacities: FloatArray, of_links: Saturation) -> None:
        if not len(route_sets):
            return
        entries, of = self._table.entries(route_sets)
        links = self._table.links[entries]
        room = capacities[links] / self._table.coefficients[entries]
        begins = np.flatnonzero(np.diff(of, prepend=-1))
        narrowest = np.minimum.reduceat(room, begins)
        tight = room <= narrowest[of] * (1.0 + FULL)
        spans, of = self._of_route_sets, route_sets[of[tight]]
        of_links.add(links[tight], spans.seconds[of], spans.first_s[of], spans.last_s[of])
