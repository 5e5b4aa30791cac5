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
rises by no more than its share of what is left there; past that it has them tracked too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow_class import FlowClass

__all__ = ["Solver"]

TOLERANCE = 1e-10
"""Relative; a class joins where its rate is wrong by more."""
_PASSED = 1.0 + TOLERANCE
_FEW = 8
"""So many classes on a bundle that share nothing else are solved for together, whoever changed (assumed);
more of them only where half of them change anyway."""
_CLASSES = -(2**40)
"""Added to the index of a class in the agenda: before bundles at one level."""
_CHECKS = 2**40
"""Added to the index of a bundle that is to be checked: after all else at one level."""


class Solver:
    """Finds new rates; leaves them in `new_rate` and `new_holder` of `members`."""

    __slots__ = ("_agenda", "_checks", "_stamp", "bundles", "full", "members")

    def __init__(self) -> None:
        self.members: list[FlowClass] = []
        """F of the last solve."""
        self.bundles: list[Bundle] = []
        """The bundles tracked in it. The load of all bundles that F uses is up to date after a solve."""
        self.full: list[Bundle] = []
        """Those that hold somebody of F back now, with `new_level` filled in."""
        self._stamp = 0
        self._agenda: list[tuple[float, int, Any]] = []
        """Classes and bundles by the level at which to look at them next."""
        self._checks = 0
        """How many entries of it are checks."""

    def solve_few(self, flow_class: FlowClass, others: list[FlowClass]) -> bool:
        """Solve where one class is all of F, or F is on one bundle and no other; False if neither holds."""
        self._stamp += 1
        contended = flow_class.contended
        if len(contended) == 1:
            bundle = contended[0][0]
            if len(bundle.active) <= max(_FEW, 2 * len(bundle.held)) and self._solve_bundle(bundle, others):
                return True
        return all(other is flow_class for other in others) and self._solve_one(flow_class)

    def _solve_one(self, flow_class: FlowClass) -> bool:
        """Solve for one class, if its links hold nobody else back and nobody is faster where it ends."""
        limit, holder = flow_class.cap, None
        count, total = flow_class.count, flow_class.total
        for bundle, coefficient in flow_class.contended:
            if bundle.held and (len(bundle.held) > 1 or flow_class.holder is not bundle):
                return False
            room = (bundle.capacity - bundle.load + coefficient * total) / (coefficient * count)
            if room < limit:
                limit, holder = room, bundle
        if holder is not None:
            passed = limit * _PASSED
            for other in holder.active:
                if other.rate > passed and other is not flow_class:
                    return False
        self.members, self.bundles, self.full = [flow_class], [], []
        for bundle, coefficient in flow_class.contended:
            bundle.load += coefficient * (limit * count - total)
            self.bundles.append(bundle)
        self._hold(flow_class, limit, holder)
        return True

    def _solve_bundle(self, bundle: Bundle, others: list[FlowClass]) -> bool:
        """Solve for all classes on a bundle, if they share nothing else: fill it up to their caps."""
        rising = list(bundle.active)
        if any(len(flow_class.contended) > 1 for flow_class in rising):
            return False
        if any(not other.contended or other.contended[0][0] is not bundle for other in others):
            return False
        self.members, self.bundles, self.full = rising, [bundle], []
        active, load = bundle.active, 0.0
        while rising:
            level = (bundle.capacity - load) / sum([active[c] * c.count for c in rising])
            capped = [c for c in rising if c.cap <= level]
            for flow_class in capped or rising:
                rate = flow_class.cap if capped else level
                load += active[flow_class] * flow_class.count * rate
                self._hold(flow_class, rate, None if capped else bundle)
            rising = [c for c in rising if c.cap > level] if capped else []
        bundle.load = load
        return True

    def _hold(self, flow_class: FlowClass, rate: float, holder: Bundle | None) -> None:
        flow_class.new_rate = rate = max(rate, 0.0)
        flow_class.new_holder = holder
        if holder is not None and rate != holder.level:
            holder.new_level = rate
            self.full.append(holder)

    def solve(self, fresh: Iterable[FlowClass], held: Iterable[FlowClass]) -> None:
        """Solve for the classes whose rate changes when those of `fresh` did, and release `held`."""
        self._stamp += 1
        self.members, self.bundles, self.full = [], [], []
        self._join(fresh, everywhere=True)
        everywhere = len(self.members)
        self._join(held, everywhere=False)
        members = self.members
        agenda: list[tuple[float, int, Any]] = [(c.cap, c.index + _CLASSES, c) for c in members[:everywhere]]
        self._agenda = agenda
        for flow_class in members[everywhere:]:
            cap, rate = flow_class.cap, flow_class.rate
            agenda.append((rate if rate < cap else cap, flow_class.index + _CLASSES, flow_class))
        self._checks = 0
        for bundle in self.bundles:
            bundle.key = level = (bundle.capacity - bundle.load) / bundle.need
            agenda.append((level, bundle.index, bundle))
            if len(bundle.held) > bundle.inside:
                self._checks += 1
                agenda.append((bundle.level * _PASSED, bundle.index + _CHECKS, bundle))
        heapify(agenda)
        self._sweep()

    def _join(self, joining: Iterable[FlowClass], *, everywhere: bool) -> None:
        """Let classes join F: what their bundles offer F grows by what they consumed so far.

        Whom a full bundle holds back above a joiner's old rate joins as well: if the joiner's rate
        changes, so does what is left there.
        """
        stamp, members, bundles = self._stamp, self.members, self.bundles
        waiting = list(joining)
        for flow_class in waiting:
            if flow_class.stamp == stamp:
                continue
            flow_class.stamp = stamp
            flow_class.rising = True
            flow_class.tracked = everywhere
            members.append(flow_class)
            count, total, above = flow_class.count, flow_class.total, flow_class.rate * _PASSED
            for bundle, coefficient in flow_class.contended:
                if bundle.stamp == stamp:
                    bundle.rising += 1
                    bundle.need += coefficient * count
                    bundle.load -= coefficient * total
                elif everywhere or bundle.full:
                    bundle.stamp = stamp
                    bundles.append(bundle)
                    bundle.rising = 1
                    bundle.inside = 0
                    bundle.key = math.inf
                    bundle.need = coefficient * count
                    bundle.load -= coefficient * total
                    if above < bundle.level < math.inf and not everywhere:
                        waiting += bundle.held
            if flow_class.holder is not None:
                flow_class.holder.inside += 1

    def _sweep(self) -> None:
        """Raise the level of F: freeze at caps and at full bundles, and let others join in."""
        agenda = self._agenda
        rising = len(self.members)
        while rising or self._checks:
            level, order, item = agenda[0]
            if order < 0:
                heappop(agenda)
                if item.rising:
                    rising -= self._reach(item, level)
            elif order < _CHECKS:
                if level != item.key:
                    heappop(agenda)
                elif not item.rising:
                    heappop(agenda)
                    item.key = math.inf
                else:
                    now = (item.capacity - item.load) / item.need
                    if now > level:
                        item.key = now
                        heapreplace(agenda, (now, order, item))
                    else:
                        rising += self._fill_up(item, level)
            else:
                heappop(agenda)
                self._checks -= 1
                rising += self._check(item)

    def _reach(self, flow_class: FlowClass, level: float) -> int:
        """Freeze a class at its cap, or look how far it may rise where it is not tracked; return 1 or 0."""
        cap = flow_class.cap
        if level >= cap:
            self._freeze(flow_class, cap, None)
            return 1
        stamp, limit = self._stamp, cap
        if flow_class.tracked is None:
            for bundle, _ in flow_class.contended:
                if bundle.stamp != stamp:
                    self._track(bundle)
        elif not flow_class.tracked:
            flow_class.tracked = None
            room = cap - flow_class.rate
            for bundle, _ in flow_class.contended:
                if bundle.stamp != stamp and bundle.nearly_full - bundle.load < room * bundle.width:
                    room = (bundle.nearly_full - bundle.load) / bundle.width
            limit = flow_class.rate + room
        heappush(self._agenda, (limit, flow_class.index + _CLASSES, flow_class))
        return 0

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

    def _freeze(self, flow_class: FlowClass, rate: float, holder: Bundle | None) -> None:
        """Fix the rate of a class."""
        stamp = self._stamp
        if rate < 0.0:
            rate = 0.0
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

    def _fill_up(self, full: Bundle, level: float) -> int:
        """Freeze all who rise on a bundle that is full, or let those join who are faster there.

        Return by how many more rise now.
        """
        if level < full.level:
            stamp, passed = self._stamp, max(level, 0.0) * _PASSED
            faster = [c for c in full.active if c.rate > passed and c.stamp != stamp]
            if faster:
                return self._join_late(faster)
        heappop(self._agenda)
        full.key = math.inf
        full.new_level = max(level, 0.0)
        self.full.append(full)
        rising = [c for c in full.active if c.rising]
        for flow_class in rising:
            self._freeze(flow_class, level, full)
        return -len(rising)

    def _check(self, bundle: Bundle) -> int:
        """Let those outside F join whom `bundle` no longer holds back; return how many."""
        stamp = self._stamp
        outside = [c for c in bundle.held if c.stamp != stamp]
        if outside and not bundle.rising:
            free, active = bundle.capacity - bundle.load, bundle.active
            outside = [c for c in outside if free > TOLERANCE * active[c] * c.total]
        return self._join_late(outside) if outside else 0

    def _join_late(self, joining: list[FlowClass]) -> int:
        """Let classes join F in the middle of the sweep; return how many did."""
        agenda, members = self._agenda, self.members
        before = len(members)
        self._join(joining, everywhere=False)
        for flow_class in members[before:]:
            rate, cap = flow_class.rate, flow_class.cap
            heappush(agenda, (rate if rate < cap else cap, flow_class.index + _CLASSES, flow_class))
            for bundle, _ in flow_class.contended:
                if bundle.stamp == self._stamp:
                    if rate < bundle.key:
                        bundle.key = level = (bundle.capacity - bundle.load) / bundle.need
                        heappush(agenda, (level, bundle.index, bundle))
                    if len(bundle.held) > bundle.inside:
                        self._checks += 1
                        heappush(agenda, (bundle.level * _PASSED, bundle.index + _CHECKS, bundle))
        return len(members) - before
