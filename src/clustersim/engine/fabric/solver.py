"""The max-min solver: only what a change reaches is solved again ("ripple").

A batch of changes starts a small set F of classes: those with new or lost flows, and those
held back by a link that they use. F is filled progressively on what all others leave; then
the others on those links are verified. Who now runs above the level at which a link froze,
or is held back by a link that is no longer full or that somebody faster uses, joins F, and
F is filled again, until nobody joins. The result is the one max-min allocation, because in
the end every class owns a bottleneck: a full link on which nobody is faster, or its bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.route_set import FlowClass

__all__ = ["Solver"]

TOLERANCE = 1e-10
"""Relative; a class joins where its rate is wrong by more."""


class Solver:
    """Finds new rates; leaves them in `new_rate` and `new_holder` of the classes it returns."""

    __slots__ = ("_round", "bundles", "flows_touched", "solves", "stamp")

    def __init__(self) -> None:
        self.stamp = 0
        self._round = 0
        self.solves = 0
        self.flows_touched = 0
        self.bundles: list[Bundle] = []
        """Bundles of the classes of the last solve, with `local` filled in."""

    def solve(self, seeds: Iterable[FlowClass]) -> list[FlowClass]:
        """Solve for the classes whose rate changes when `seeds` may change."""
        self.stamp += 1
        members: list[FlowClass] = []
        bundles: list[Bundle] = []
        self.bundles = bundles
        joining = seeds
        while joining:
            self._join(joining, members, bundles)
            self._fill(members, bundles)
            joining = self._verify(bundles)
        self.solves += 1
        self.flows_touched += len(members)
        return members

    def _join(self, joining: Iterable[FlowClass], members: list[FlowClass], bundles: list[Bundle]) -> None:
        stamp = self.stamp
        for flow_class in joining:
            if flow_class.stamp == stamp:
                continue
            flow_class.stamp = stamp
            members.append(flow_class)
            total, count = flow_class.total, flow_class.count
            for bundle, coefficient in flow_class.pairs:
                weight = coefficient * count
                if bundle.stamp != stamp:
                    bundle.stamp = stamp
                    bundle.local = [(flow_class, weight)]
                    bundle.need = weight
                    bundle.free = bundle.capacity - bundle.load + coefficient * total
                    bundles.append(bundle)
                else:
                    bundle.local.append((flow_class, weight))
                    bundle.need += weight
                    bundle.free += coefficient * total
                if len(bundle.local) == len(bundle.active):
                    bundle.free = bundle.capacity  # nobody else is there: no rounding

    def _fill(self, members: list[FlowClass], bundles: list[Bundle]) -> None:
        """Raise all rates of `members` together; freeze at full bundles and at bounds."""
        self._round = turn = self._round + 1
        heap, caps = self._levels(members, bundles)
        rising = len(members)
        while rising:
            level = heap[0][0] if heap else math.inf
            if caps and caps[-1][0] <= level:
                rate, _, flow_class = caps.pop()
                if flow_class.frozen != turn:
                    rising -= self._freeze_alone(flow_class, rate, turn)
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
                heappop(heap)
                rising -= self._freeze(bundle, level if level > 0.0 else 0.0, turn)

    @staticmethod
    def _levels(
        members: list[FlowClass], bundles: list[Bundle]
    ) -> tuple[list[tuple[float, int, Bundle]], list[tuple[float, int, FlowClass]]]:
        """Return at which level each bundle fills up if all rise, and each class's cap.

        A bundle with one rising class is a constant cap on that class, as its bound is;
        only the others can change while the rates rise.
        """
        for flow_class in members:
            flow_class.new_rate = flow_class.bound
            flow_class.new_holder = None
        heap = []
        for bundle in bundles:
            level = bundle.free / bundle.need
            if len(bundle.local) > 1:
                heap.append((level, bundle.index, bundle))
            else:
                flow_class = bundle.local[0][0]
                if level < flow_class.new_rate:
                    flow_class.new_rate = level
                    flow_class.new_holder = bundle
        heapify(heap)
        caps = [(c.new_rate, c.index, c) for c in members if c.new_rate != math.inf]
        caps.sort(reverse=True)
        return heap, caps

    @staticmethod
    def _freeze_alone(flow_class: FlowClass, rate: float, turn: int) -> int:
        """Fix the rate of one class at its cap."""
        flow_class.frozen = turn
        flow_class.new_rate = rate = rate if rate > 0.0 else 0.0
        holder = flow_class.new_holder
        if holder is not None:
            holder.froze = turn
            holder.new_level = rate
        return 1

    @staticmethod
    def _freeze(bundle: Bundle, level: float, turn: int) -> int:
        """Fix the rates of those still rising on a bundle that is full; return how many."""
        bundle.froze = turn
        bundle.new_level = level
        frozen = 0
        for flow_class, _ in bundle.local:
            if flow_class.frozen != turn:
                flow_class.frozen = turn
                flow_class.new_rate = level
                flow_class.new_holder = bundle
                frozen += 1
        return frozen

    def _verify(self, bundles: list[Bundle]) -> list[FlowClass]:
        """Return the classes outside F whose rate cannot stay."""
        stamp, turn = self.stamp, self._round
        joining: list[FlowClass] = []
        for bundle in bundles:
            if bundle.froze == turn and bundle.new_level < bundle.level * (1.0 - TOLERANCE):
                if len(bundle.local) < len(bundle.active):
                    limit = bundle.new_level * (1.0 + TOLERANCE)
                    joining += [c for c in bundle.active if c.stamp != stamp and c.rate > limit]
            elif bundle.held:
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
            c
            for c in outside
            if top > c.rate * (1.0 + TOLERANCE) or free > TOLERANCE * active[c] * c.total
        ]
