"""Strict priorities: one sharing per priority, each on what those above it leave."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clustersim.engine.fabric.interpreted import Interpreted
from clustersim.engine.fabric.sharing import FULL

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.route_set import RouteSet
    from clustersim.engine.fabric.sharing import Sharing

__all__ = ["Bands"]

_SAME = 1e-12
"""What is left of a link counts as unchanged if it moves by less than this part of its capacity (assumed)."""


class Bands:
    """Several sharings on top of each other; see `sharing.Sharing`.

    *Equation.* On link l the band of priority p has C_l - Σ_{q < p} load_q,l, and nothing where that
    is less than `FULL` of C_l. A solve goes from the first band to the last, and a band is solved only
    where something changed in it or above it on its links.

    Parameters
    ----------
    top
        The sharing of priority 0.
    route_sets
        Those registered with it so far.
    began, capacities
        Bytes/s of each link at the beginning and now.
    log
        Where to write what moved.
    merge_from
        As of `Partition`.

    **Checked by:** tests/engine/test_fabric_traffic.py, also against the slow twin.
    """

    def __init__(
        self,
        top: Sharing,
        route_sets: Iterable[RouteSet],
        began: Sequence[float],
        capacities: Sequence[float],
        log: list[float],
        *,
        merge_from: int,
    ) -> None:
        self.pending = False
        self.next_s = math.inf
        self.changed: list[RouteSet] | None = top.changed
        self._bands: dict[int, Sharing] = {0: top}
        """By priority, the first first."""
        self._lowest = top
        top.changed = []
        self._began = began
        self._capacities = list(capacities)
        self._log = log
        self._merge_from = merge_from
        self._left: dict[int, dict[int, float]] = {}
        """For each band but the top one: what it was told that is left of the links that it uses."""
        self._touched: dict[int, None] = {}
        """Links on which something changed since the last solve."""
        self._users: dict[int, list[RouteSet]] = {}
        """Route sets on each link, as long as they are of one owner."""
        self._mixed: set[int] = set()
        """Links that several owners use."""
        for route_set in route_sets:
            self._introduce(route_set)
        self._look()

    @property
    def solves(self) -> int:
        """How often rates were computed, over all bands."""
        return sum(band.solves for band in self._bands.values())

    @property
    def flows_touched(self) -> int:
        """How many classes' rates were computed, over all solves of all bands."""
        return sum(band.flows_touched for band in self._bands.values())

    # -- changes ------------------------------------------------------------------------

    def register(self, route_set: RouteSet, now_s: float) -> None:
        """Take up a new route set, and tell those that it ends the privacy of."""
        priority = route_set.traffic.priority
        if priority not in self._bands:
            self._add_band(priority)
        band = self._bands[priority]
        if priority in self._left:
            self._tell_left(priority, route_set.links, now_s)
        band.register(route_set, now_s)
        self._introduce(route_set)
        self._look()

    def measure(self, route_set: RouteSet) -> None:
        """Bring `narrowest` and `narrowest_link` of a route set up to date with the capacities."""
        self._bands[route_set.traffic.priority].measure(route_set)

    def start(self, flow: Flow, route_set: RouteSet, size_bytes: float, bound: float, now_s: float) -> None:
        """Let a flow begin; its `sharing` is the band."""
        self._bands[route_set.traffic.priority].start(flow, route_set, size_bytes, bound, now_s)
        self._look()

    def set_capacity(self, link: int, bytes_per_s: float, now_s: float) -> None:
        """Change a link from now on."""
        self._capacities[link] = bytes_per_s
        self._bands[0].set_capacity(link, bytes_per_s, now_s)
        self._touched[link] = None
        self._look()

    def solve(self, now_s: float) -> None:
        """Find the rates after all changes of this instant, band by band."""
        touched, self._touched = self._touched, {}
        for priority, band in self._bands.items():
            if touched and priority in self._left:
                known = self._left[priority]
                self._tell_left(priority, [link for link in touched if link in known], now_s)
            if band.pending:
                band.solve(now_s)
            self._collect(band, touched)
        self._look()

    def finish(self, due_s: float, now_s: float) -> Sequence[Flow]:
        """End the flows that are done by `due_s` and return them in order of starting."""
        due = [band for band in self._bands.values() if band.next_s <= due_s]
        done = [flow for band in due for flow in band.finish(due_s, now_s)]
        done.sort(key=lambda flow: flow.number)
        self._look()
        return done

    # -- observation --------------------------------------------------------------------

    def rate(self, flow: Flow) -> float:
        """Return the present rate of a flow that has not ended."""
        return self._bands[flow.route_set.traffic.priority].rate(flow)

    def held_s(self, flow: Flow, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link (or `BOUND`) of a flow that has not ended, since it began."""
        return self._bands[flow.route_set.traffic.priority].held_s(flow, now_s)

    def load(self, link: int) -> float:
        """Return the bytes/s that cross a link, as of the last solve."""
        return sum(band.load(link) for band in self._bands.values())

    def used(self, link: int) -> bool:
        """Return whether flows that have not ended use the link."""
        return any(band.used(link) for band in self._bands.values())

    def settle(self, now_s: float) -> None:
        """Write to the log what has moved up to now."""
        for band in self._bands.values():
            band.settle(now_s)

    def saturation(self, now_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return seconds saturated, first and last saturated time of every link, without the log's spans."""
        # A link is full in one band at a time: where an upper one fills it, a lower one has nothing.
        seconds, first, last = zip(*[band.saturation(now_s) for band in self._bands.values()], strict=True)
        return (
            [sum(values) for values in zip(*seconds, strict=True)],
            [min(values) for values in zip(*first, strict=True)],
            [max(values) for values in zip(*last, strict=True)],
        )

    # -- what is left -------------------------------------------------------------------

    def _add_band(self, priority: int) -> None:
        band = Interpreted(self._began, self._log, merge_from=self._merge_from, contended_from=1)
        band.changed = []
        self._left[priority] = {}
        self._bands[priority] = band
        self._bands = dict(sorted(self._bands.items()))
        self._lowest = list(self._bands.values())[-1]

    def _tell_left(self, priority: int, links: Iterable[int], now_s: float) -> None:
        """Tell a band what those above it leave of these links."""
        band, known = self._bands[priority], self._left[priority]
        for link in links:
            left = capacity = self._capacities[link]
            for above, other in self._bands.items():
                if above == priority:
                    break
                left -= other.load(link)
            if left < FULL * capacity:
                left = 0.0
            if abs(left - known.get(link, self._began[link])) > _SAME * capacity:
                band.set_capacity(link, left, now_s)
                known[link] = left
            else:
                known.setdefault(link, self._began[link])

    def _collect(self, band: Sharing, touched: dict[int, None]) -> None:
        """Add to `touched` the links of the route sets whose rates changed above another band."""
        changed = band.changed
        if changed:
            if band is not self._lowest:
                for route_set in changed:
                    touched.update(dict.fromkeys(route_set.links))
            if self.changed is not None:
                self.changed += changed
            changed.clear()

    def _look(self) -> None:
        """See whether something is to be solved, and when the next flow is done."""
        for band in self._bands.values():
            self._collect(band, self._touched)
        below = any(link in known for known in self._left.values() for link in self._touched)
        self.pending = below or any(band.pending for band in self._bands.values())
        if not self.pending:
            self._touched.clear()
        self.next_s = min(band.next_s for band in self._bands.values())

    # -- privacy ------------------------------------------------------------------------

    def _introduce(self, route_set: RouteSet) -> None:
        """End the privacy of all who are strangers to each other, in whatever band."""
        for link in route_set.links:
            if link in self._mixed:
                route_set.lose_privacy()
                continue
            users = self._users.setdefault(link, [])
            users.append(route_set)
            if any(other.owner != route_set.owner or not other.owner for other in users[:-1]):
                self._mixed.add(link)
                for other in self._users.pop(link):
                    other.lose_privacy()
