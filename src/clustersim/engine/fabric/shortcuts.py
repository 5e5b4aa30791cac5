"""Solves that need no sweep: one class is all that changes, or one bundle alone decides.

The answer is guessed and then verified: whoever gets a new rate has a bottleneck, and on all other
bundles there is room for it and nobody whom it held back. Where that fails nothing has changed, and
the sweep of `solver.Solver` finds the answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow_class import FlowClass

__all__ = ["PASSED", "TOLERANCE", "Shortcuts"]

TOLERANCE = 1e-10
"""Relative; a class joins where its rate is wrong by more."""
PASSED = 1.0 + TOLERANCE
_FEW = 4
"""So many classes on a bundle are solved for together (assumed); more of them only where half of them
change anyway."""


class Shortcuts:
    """Finds new rates where few classes change; leaves them in `new_rate` and `new_holder` of `members`."""

    __slots__ = ("_stamp", "bundles", "full", "members")

    def __init__(self) -> None:
        self.members: list[FlowClass] = []
        """F of the last solve: those whose rate was computed."""
        self.bundles: list[Bundle] = []
        """Bundles that may have become full, or no longer be. The loads of all that F uses are up to date."""
        self.full: list[Bundle] = []
        """Those that hold somebody of F back now, with `new_level` filled in."""
        self._stamp = 0
        """Number of the solve: what bundles and classes noted under another one is out of date."""

    def solve_few(self, changed: FlowClass, released: list[FlowClass]) -> bool:
        """Solve for a class and those whom its bundles held back; False where that takes a sweep."""
        self._stamp += 1
        self.members, self.bundles, self.full = [], [], []
        others = [c for c in released if c is not changed]
        deciding = None
        for bundle, _ in changed.contended:
            held = bundle.held
            if held and (len(held) > 1 or changed.holder is not bundle):
                if deciding is not None:
                    return False
                deciding = bundle
        if deciding is None:
            if others:
                return self._solve_apart([changed, *others])
            deciding = self._solve_one(changed)
        elif any(c.holder is not deciding for c in others):
            return False
        return deciding is None or self._solve_bundle(deciding, changed)

    def _solve_apart(self, released: list[FlowClass]) -> bool:
        """Solve for classes one by one, if they share nothing and nobody else is held back where they are."""
        stamp = self._stamp
        for flow_class in released:
            for bundle, _ in flow_class.contended:
                if bundle.stamp == stamp or bundle.held:
                    return False
            for bundle, _ in flow_class.contended:
                bundle.stamp = stamp
        loads = [(bundle, bundle.load) for flow_class in released for bundle, _ in flow_class.contended]
        for flow_class in released:
            if self._solve_one(flow_class) is not None:
                for bundle, load in loads:
                    bundle.load = load
                return False
        return True

    def _solve_one(self, changed: FlowClass) -> Bundle | None:
        """Solve for one class; where somebody is faster on the bundle where it ends, return that instead."""
        limit, holder = changed.cap, None
        count, total = changed.count, changed.total
        for bundle, coefficient in changed.contended:
            room = (bundle.capacity - bundle.load + coefficient * total) / (coefficient * count)
            if room < limit:
                limit, holder = room, bundle
        if holder is not None:
            limit = max(limit, 0.0)
            passed = limit * PASSED
            for other in holder.active:
                if other.rate > passed and other is not changed:
                    return holder
            if limit != holder.level:
                holder.new_level = limit
                self.full.append(holder)
        more = limit * count - total
        for bundle, coefficient in changed.contended:
            bundle.load += coefficient * more
            self.bundles.append(bundle)
        changed.new_rate, changed.new_holder = limit, holder
        self.members.append(changed)
        return None

    def _solve_bundle(self, bundle: Bundle, changed: FlowClass) -> bool:
        """Solve for the classes on a bundle, if only their caps and this bundle hold them back."""
        active = bundle.active
        if len(active) > max(_FEW, 2 * len(bundle.held)):
            return False
        rising: list[FlowClass] = []
        load = fastest = 0.0
        for flow_class, coefficient in active.items():
            holder = flow_class.holder
            if holder is bundle or holder is None or flow_class is changed:
                rising.append(flow_class)
            else:
                load += coefficient * flow_class.total
                fastest = max(fastest, flow_class.rate)
        level, load = _fill(bundle, rising, load)
        if level * PASSED < fastest:
            return False
        members = [c for c in rising if c.new_rate != c.rate or c.new_holder is not c.holder or c is changed]
        return self._verify(bundle, members, level, load)

    def _verify(self, deciding: Bundle, members: list[FlowClass], level: float, load: float) -> bool:
        """Book the new rates on all bundles, if they have room and hold nobody else back."""
        before: list[tuple[Bundle, float]] = []
        verified = True
        for flow_class in members:
            more = flow_class.count * flow_class.new_rate - flow_class.total
            for bundle, coefficient in flow_class.contended:
                if bundle is not deciding:
                    held = bundle.held
                    if held and (len(held) > 1 or flow_class.holder is not bundle):
                        verified = False
                    before.append((bundle, bundle.load))
                    bundle.load += coefficient * more
        if not verified or any(bundle.load > bundle.capacity * PASSED for bundle, _ in before):
            for bundle, old in reversed(before):
                bundle.load = old
            return False
        deciding.load = load
        self.members = members
        self.bundles = [deciding, *[b for b, _ in before if b.full or b.load >= b.nearly_full]]
        if level != deciding.level and level < math.inf:
            deciding.new_level = level
            self.full.append(deciding)
        return True


def _fill(bundle: Bundle, rising: list[FlowClass], load: float) -> tuple[float, float]:
    """Fill a bundle that carries `load` already up with classes; return its level and its load then.

    The level is infinite where caps hold them all back.
    """
    capacity, active = bundle.capacity, bundle.active
    while rising:
        need = sum([active[c] * c.count for c in rising])
        level = max((capacity - load) / need, 0.0)
        passed = level * PASSED
        capped = [c for c in rising if c.cap <= passed]
        if not capped:
            for flow_class in rising:
                flow_class.new_rate, flow_class.new_holder = level, bundle
            return level, load + need * level
        for flow_class in capped:
            flow_class.new_rate, flow_class.new_holder = flow_class.cap, None
            load += active[flow_class] * flow_class.count * flow_class.cap
        rising = [c for c in rising if c.cap > passed]
    return math.inf, load
