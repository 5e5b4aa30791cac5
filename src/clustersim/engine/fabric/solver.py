"""The max-min solver: only what a change reaches is solved again ("ripple").

A batch of changes starts a small set F of classes: those with new or lost flows, and those
held back by a link that they use. F is filled progressively on what all others leave; who
runs above the level at which a link freezes joins on the way. Then the others are verified:
who is held back by a link that is no longer full, or that somebody faster uses, joins F,
and F is filled again, until nobody joins. The result is the one max-min allocation, because
in the end every class owns a bottleneck: a full link on which nobody is faster, or its bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.route_set import FlowClass

__all__ = ["Solver"]

TOLERANCE = 1e-10
"""Relative; a class joins where its rate is wrong by more."""


class Solver:
    """Finds new rates; leaves them in `new_rate` and `new_holder` of the classes it returns."""

    __slots__ = (
        "_several",
        "_stamp",
        "_turn",
        "alone",
        "bundles",
        "flows_touched",
        "full",
        "pressed",
        "solves",
    )

    def __init__(self) -> None:
        self.solves = 0
        self.flows_touched = 0
        # Of the last solve:
        self.bundles: list[Bundle] = []
        """Bundles on which classes of F met others, with `local` filled in."""
        self.alone: list[tuple[Bundle, FlowClass, float]] = []
        """Bundles on which a class of F was alone, with its weight there."""
        self.pressed: list[Bundle] = []
        """Those of `bundles` that held somebody back before."""
        self.full: list[Bundle] = []
        """Bundles that hold somebody back now, with `new_level` filled in."""
        self._several: list[Bundle] = []
        self._stamp = 0
        self._turn = 0

    def solve(self, seeds: Iterable[FlowClass]) -> list[FlowClass]:
        """Solve for the classes whose rate changes when `seeds` may change."""
        self._stamp += 1
        self.bundles, self.alone, self._several, self.pressed = [], [], [], []
        members: list[FlowClass] = []
        joining = seeds
        while joining:
            self._join(joining, members)
            self._fill(members)
            joining = self._verify()
        self.solves += 1
        self.flows_touched += len(members)
        return members

    def solve_alone(self, flow_class: FlowClass) -> bool:
        """Solve for a class whose bundles nobody uses; False, and nothing done, if somebody does."""
        cap, cap_holder, count = flow_class.bound, None, flow_class.count
        for bundle, coefficient in flow_class.pairs:
            if bundle.active:
                return False
            if bundle.capacity < cap * coefficient * count:
                cap, cap_holder = bundle.capacity / (coefficient * count), bundle
        flow_class.new_rate, flow_class.new_holder = cap, cap_holder
        self.solves += 1
        self.flows_touched += 1
        return True

    def _join(self, joining: Iterable[FlowClass], members: list[FlowClass]) -> None:
        """Let classes join F: what their bundles offer F grows by what they consumed so far."""
        stamp, several, pressed = self._stamp, self._several, self.pressed
        bundles, alone = self.bundles, self.alone
        for flow_class in joining:
            if flow_class.stamp == stamp:
                continue
            flow_class.stamp = stamp
            members.append(flow_class)
            total, count = flow_class.total, flow_class.count
            cap, cap_holder = flow_class.bound, None
            for bundle, coefficient in flow_class.pairs:
                weight = coefficient * count
                if bundle.users == 1:
                    alone.append((bundle, flow_class, weight))
                    if bundle.capacity < cap * weight:
                        cap, cap_holder = bundle.capacity / weight, bundle
                elif bundle.stamp != stamp:
                    bundle.stamp = stamp
                    bundle.local = [(flow_class, weight)]
                    bundles.append(bundle)
                    if bundle.held:
                        pressed.append(bundle)
                    bundle.free = free = bundle.capacity - bundle.load + coefficient * total
                    if free < cap * weight:
                        cap, cap_holder = free / weight, bundle
                else:
                    local = bundle.local
                    if len(local) == 1:
                        bundle.need = local[0][1]
                        several.append(bundle)
                    local.append((flow_class, weight))
                    bundle.need += weight
                    if len(local) < bundle.users:
                        bundle.free += coefficient * total
                    else:
                        bundle.free = bundle.capacity  # nobody else is there: no rounding
            flow_class.cap, flow_class.cap_holder = cap, cap_holder

    @staticmethod
    def _recap(flow_class: FlowClass) -> float:
        """Return the cap, anew where others joined F on the bundle that it came from."""
        holder = flow_class.cap_holder
        if holder is None or holder.users == 1 or len(holder.local) == 1:
            return flow_class.cap
        cap, cap_holder, count = flow_class.bound, None, flow_class.count
        for bundle, coefficient in flow_class.pairs:
            if bundle.users == 1:
                free = bundle.capacity
            elif len(bundle.local) == 1:
                free = bundle.free
            else:
                continue
            if free < cap * coefficient * count:
                cap, cap_holder = free / (coefficient * count), bundle
        flow_class.cap, flow_class.cap_holder = cap, cap_holder
        return cap

    def _fill(self, members: list[FlowClass]) -> None:
        """Raise all rates of `members` together; freeze at full bundles and at caps.

        A class's own bound, and a bundle on which nobody else rises, are constant caps on
        it. Only for bundles with several rising classes does the level at which they fill
        up grow as others freeze; it is computed afresh when it comes up as the least.
        """
        self._turn = turn = self._turn + 1
        full: list[Bundle] = []
        self.full = full
        heap = [(bundle.free / bundle.need, bundle.index, bundle) for bundle in self._several]
        heapify(heap)
        caps = [(c.cap, c.index, c) for c in members if c.cap != math.inf]
        heapify(caps)
        rising = len(members)
        while rising:
            level = heap[0][0] if heap else math.inf
            if caps and caps[0][0] <= level:
                cap, index, flow_class = heappop(caps)
                if flow_class.frozen == turn:
                    continue
                again = self._recap(flow_class) > cap
                holder = flow_class.cap_holder
                if not again and holder is not None and cap < holder.level:
                    admitted = self._admit(holder, cap, members, heap, caps)
                    rising += admitted
                    again = admitted > 0
                if again:
                    heappush(caps, (flow_class.cap, index, flow_class))
                else:
                    self._freeze_at_cap(flow_class, turn, full)
                    rising -= 1
                continue
            bundle = heap[0][2]
            free, need = bundle.free, 0.0
            for flow_class, weight in bundle.local:
                if flow_class.frozen == turn:
                    free -= weight * flow_class.new_rate
                else:
                    need += weight
            if need == 0.0:
                heappop(heap)
            elif free / need > level:
                heapreplace(heap, (free / need, bundle.index, bundle))
            else:
                admitted = self._admit(bundle, level, members, heap, caps) if level < bundle.level else 0
                if admitted:
                    rising += admitted
                else:
                    heappop(heap)
                    full.append(bundle)
                    rising -= self._freeze(bundle, level if level > 0.0 else 0.0, turn)

    def _admit(
        self,
        bundle: Bundle,
        level: float,
        members: list[FlowClass],
        heap: list[tuple[float, int, Bundle]],
        caps: list[tuple[float, int, FlowClass]],
    ) -> int:
        """Let those outside F who run above the level at which `bundle` is full join; return how many.

        What is frozen stays so: who joins is faster than all levels so far, so it crosses
        no bundle that froze before.
        """
        if len(bundle.local) == bundle.users or level >= bundle.level * (1.0 - TOLERANCE):
            return 0  # nobody outside, or nobody there faster: all kept below the old level
        stamp, limit = self._stamp, max(level, 0.0) * (1.0 + TOLERANCE)
        faster = [c for c in bundle.active if c.rate > limit and c.stamp != stamp]
        if not faster:
            return 0
        self._join(faster, members)
        for flow_class in faster:
            if flow_class.cap != math.inf:
                heappush(caps, (flow_class.cap, flow_class.index, flow_class))
            for other, _ in flow_class.pairs:
                if other.users > 1 and len(other.local) > 1:
                    heappush(heap, (other.free / other.need, other.index, other))
        return len(faster)

    @staticmethod
    def _freeze_at_cap(flow_class: FlowClass, turn: int, full: list[Bundle]) -> None:
        """Fix the rate of one class at its cap."""
        flow_class.frozen = turn
        flow_class.new_rate = rate = flow_class.cap if flow_class.cap > 0.0 else 0.0
        flow_class.new_holder = holder = flow_class.cap_holder
        if holder is not None:
            holder.new_level = rate
            full.append(holder)

    @staticmethod
    def _freeze(bundle: Bundle, level: float, turn: int) -> int:
        """Fix the rates of those still rising on a bundle that is full; return how many."""
        bundle.new_level = level
        frozen = 0
        for flow_class, _ in bundle.local:
            if flow_class.frozen != turn:
                flow_class.frozen = turn
                flow_class.new_rate = level
                flow_class.new_holder = bundle
                frozen += 1
        return frozen

    def _verify(self) -> list[FlowClass]:
        """Return the classes outside F that their holder no longer holds back."""
        stamp = self._stamp
        joining: list[FlowClass] = []
        for bundle in self.pressed:
            outside = [c for c in bundle.held if c.stamp != stamp]
            if outside:
                joining += self._released(bundle, outside)
        return joining

    @staticmethod
    def _released(bundle: Bundle, outside: list[FlowClass]) -> list[FlowClass]:
        """Return those of `outside`, held back by `bundle`, that it no longer holds back."""
        free, top = bundle.free, 0.0
        for flow_class, weight in bundle.local:
            rate = flow_class.new_rate
            free -= weight * rate
            if rate > top:
                top = rate
        active = bundle.active
        return [
            c for c in outside if top > c.rate * (1.0 + TOLERANCE) or free > TOLERANCE * active[c] * c.total
        ]
