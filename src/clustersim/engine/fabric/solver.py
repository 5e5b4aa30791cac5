"""The max-min solver: only what a change reaches is solved again, in one sweep of the level.

A batch of changes starts a small set F of classes: those with new or lost flows, and those
held back by a link that they use. The rates of F rise together from zero on what all others
leave. Who is outside F joins in when the level passes what it is known by:

- a link is full at a level below the rate of somebody outside on it, who is therefore too fast;
- the level passes that at which a link holds somebody outside back, and the link is not full
  without him any more, or somebody of F goes on rising there.

Both happen at a level at or below the joiner's old rate. No link that was full before carries
him, or he would have joined there, so what is frozen stays, and nothing is filled twice. In the
end every class owns a bottleneck, a full link on which nobody is faster, or its own cap, and
that characterises the one max-min allocation.

Only tracked bundles can fill up in the sweep: those that were full before, and all of those of a
class that flows came to or left. For the other bundles of a class it is enough to know that it
rises by no more than its share of what is left there; past that they are tracked too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from clustersim.engine.fabric.shortcuts import PASSED, TOLERANCE, Shortcuts

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow_class import FlowClass

__all__ = ["Solver"]

_CHECKS = 2**40
"""Added to the index of a bundle that is to be checked: after all else at one level."""
_NOT_WAITING = math.inf
_NOTHING: tuple[float, int, Any] = (math.inf, _CHECKS, None)
"""Stands for an empty agenda; then the last of F rise to their caps."""
_STOP = attrgetter("stop")


class Solver(Shortcuts):
    """Finds new rates; leaves them in `new_rate` and `new_holder` of `members`."""

    __slots__ = ("_agenda", "_checks", "_rising", "_stops")

    def __init__(self) -> None:
        super().__init__()
        self._rising = 0
        """How many of F have no new rate yet."""
        self._agenda: list[tuple[float, int, Bundle]] = []
        """A heap of bundles by the level at which to look at them next."""
        self._checks = 0
        """How many entries of it are checks."""
        self._stops: list[FlowClass] = []
        """F by the level at which to look at each next, the least last."""

    def solve(self, fresh: Iterable[FlowClass], held: Iterable[FlowClass]) -> None:
        """Solve for the classes whose rate changes when those of `fresh` did, and release `held`."""
        self._stamp += 1
        self.members, self.bundles, self.full = [], [], []
        self._begin(fresh)
        self._join(held)
        self._stops = sorted(self.members, key=_STOP, reverse=True)
        self._agenda = agenda = []
        self._checks = 0
        for bundle in self.bundles:
            bundle.key = level = (bundle.capacity - bundle.load) / bundle.need
            agenda.append((level, bundle.index, bundle))
            if len(bundle.held) > bundle.inside:
                self._checks += 1
                agenda.append((bundle.level * PASSED, bundle.index + _CHECKS, bundle))
        heapify(agenda)
        self._sweep()

    def _begin(self, fresh: Iterable[FlowClass]) -> None:
        """Let F begin with classes that flows came to or left: all their bundles are tracked."""
        stamp, members, bundles = self._stamp, self.members, self.bundles
        for flow_class in fresh:
            flow_class.stamp = stamp
            flow_class.rising = True
            flow_class.stop = flow_class.cap
            members.append(flow_class)
            count, total = flow_class.count, flow_class.total
            for bundle, coefficient in flow_class.contended:
                if bundle.stamp == stamp:
                    bundle.rising += 1
                    bundle.need += coefficient * count
                else:
                    bundle.stamp = stamp
                    bundles.append(bundle)
                    bundle.rising = 1
                    bundle.inside = 0
                    bundle.need = coefficient * count
                bundle.load -= coefficient * total
            if flow_class.holder is not None:
                flow_class.holder.inside += 1

    def _join(self, joining: Iterable[FlowClass]) -> None:
        """Let classes join F: what their bundles offer F grows by what they consumed so far.

        Whom a full bundle holds back above a joiner's old rate joins as well: if the joiner's rate
        changes, so does what is left there. Where a bundle is not tracked, the joiner is to stop and
        look once it has risen by its share of what is left.
        """
        stamp, members, bundles = self._stamp, self.members, self.bundles
        waiting = list(joining)
        for flow_class in waiting:
            if flow_class.stamp == stamp:
                continue
            flow_class.stamp = stamp
            flow_class.rising = True
            members.append(flow_class)
            count, total, rate = flow_class.count, flow_class.total, flow_class.rate
            above = rate * PASSED
            stop = flow_class.cap
            room = stop - rate
            for bundle, coefficient in flow_class.contended:
                if bundle.stamp == stamp:
                    bundle.rising += 1
                    bundle.need += coefficient * count
                    bundle.load -= coefficient * total
                elif bundle.full:
                    bundle.stamp = stamp
                    bundles.append(bundle)
                    bundle.rising = 1
                    bundle.inside = 0
                    bundle.key = _NOT_WAITING
                    bundle.need = coefficient * count
                    bundle.load -= coefficient * total
                    if above < bundle.level < _NOT_WAITING:
                        waiting += bundle.held
                elif bundle.nearly_full - bundle.load < room * bundle.width:
                    room = (bundle.nearly_full - bundle.load) / bundle.width
                    stop = rate + room
            flow_class.stop = stop
            if flow_class.holder is not None:
                flow_class.holder.inside += 1

    def _sweep(self) -> None:
        """Raise the level of F: freeze at caps and at full bundles, and let others join in."""
        agenda, stops = self._agenda, self._stops
        self._rising = len(self.members)
        while self._rising or self._checks:
            level, order, item = agenda[0] if agenda else _NOTHING
            if stops and stops[-1].stop <= level:
                self._reach(level)
            elif order >= _CHECKS:
                heappop(agenda)
                self._checks -= 1
                self._check(item)
            elif level != item.key:
                heappop(agenda)
            elif not item.rising:
                heappop(agenda)
                item.key = _NOT_WAITING
            else:
                now = (item.capacity - item.load) / item.need
                if now > level:
                    item.key = now
                    heapreplace(agenda, (now, order, item))
                else:
                    self._fill_up(item, level)

    def _reach(self, level: float) -> None:
        """Look at the next class that is to stop by `level`: it is at its cap, or could fill up a bundle."""
        stops = self._stops
        while stops and stops[-1].stop <= level:
            flow_class = stops.pop()
            if flow_class.rising:
                if flow_class.stop >= flow_class.cap:
                    self._freeze([flow_class], flow_class.cap, None)
                else:
                    self._rise_on(flow_class)
                return

    def _rise_on(self, flow_class: FlowClass) -> None:
        """Track the bundles that a class could fill up now, and let it rise as far as the others allow."""
        stamp, rate, reached = self._stamp, flow_class.rate, flow_class.stop * PASSED
        stop = flow_class.cap
        for bundle, _ in flow_class.contended:
            if bundle.stamp != stamp:
                limit = rate + (bundle.nearly_full - bundle.load) / bundle.width
                if limit <= reached:
                    self._track(bundle)
                elif limit < stop:
                    stop = limit
        flow_class.stop = stop
        self._stop_later([flow_class])

    def _stop_later(self, flow_classes: list[FlowClass]) -> None:
        """Put classes where their stops come up."""
        self._stops += flow_classes
        self._stops.sort(key=_STOP, reverse=True)

    def _track(self, bundle: Bundle) -> None:
        """Watch a bundle from now on in this sweep."""
        bundle.stamp = self._stamp
        self.bundles.append(bundle)
        bundle.rising = bundle.inside = 0
        bundle.need = 0.0
        for flow_class, coefficient in bundle.active.items():
            if flow_class.rising:
                bundle.rising += 1
                bundle.need += coefficient * flow_class.count
                bundle.load -= coefficient * flow_class.total
        bundle.key = level = (bundle.capacity - bundle.load) / bundle.need
        heappush(self._agenda, (level, bundle.index, bundle))

    def _freeze(self, flow_classes: list[FlowClass], rate: float, holder: Bundle | None) -> None:
        """Fix the rate of classes."""
        stamp = self._stamp
        self._rising -= len(flow_classes)
        for flow_class in flow_classes:
            flow_class.rising = False
            flow_class.new_rate = rate
            flow_class.new_holder = holder
            count = flow_class.count
            total = count * rate
            more = total - flow_class.total
            for bundle, coefficient in flow_class.contended:
                if bundle.stamp == stamp:
                    bundle.rising -= 1
                    bundle.need -= coefficient * count
                    bundle.load += coefficient * total
                else:
                    bundle.load += coefficient * more

    def _fill_up(self, full: Bundle, level: float) -> None:
        """Freeze all who rise on a bundle that is full, or let those join who are faster there."""
        level = max(level, 0.0)
        if level < full.level:
            stamp, passed = self._stamp, level * PASSED
            faster = [c for c in full.active if c.rate > passed and c.stamp != stamp]
            if faster:
                self._join_late(faster)
                return
        heappop(self._agenda)
        full.key = _NOT_WAITING
        full.new_level = level
        self.full.append(full)
        self._freeze([c for c in full.active if c.rising], level, full)

    def _check(self, bundle: Bundle) -> None:
        """Let those outside F join whom `bundle` no longer holds back."""
        stamp = self._stamp
        outside = [c for c in bundle.held if c.stamp != stamp]
        if outside and not bundle.rising:
            free, active = bundle.capacity - bundle.load, bundle.active
            outside = [c for c in outside if free > TOLERANCE * active[c] * c.total]
        if outside:
            self._join_late(outside)

    def _join_late(self, joining: list[FlowClass]) -> None:
        """Let classes join F in the middle of the sweep."""
        agenda, stamp = self._agenda, self._stamp
        before = len(self.members)
        self._join(joining)
        joined = self.members[before:]
        self._rising += len(joined)
        self._stop_later(joined)
        for flow_class in joined:
            rate = flow_class.rate
            for bundle, _ in flow_class.contended:
                if bundle.stamp == stamp:
                    if rate < bundle.key:
                        bundle.key = level = (bundle.capacity - bundle.load) / bundle.need
                        heappush(agenda, (level, bundle.index, bundle))
                    if len(bundle.held) > bundle.inside:
                        self._checks += 1
                        heappush(agenda, (bundle.level * PASSED, bundle.index + _CHECKS, bundle))
