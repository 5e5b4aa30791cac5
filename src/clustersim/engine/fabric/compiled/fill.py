"""Progressive filling of F, the classes that are solved again, on what all others leave.

A class's own bound, and a bundle on which nobody else of F stands, are constant caps on it.
Only for bundles with several classes of F does the level at which they are full grow as others
freeze below it; it is computed afresh when it comes up as the least.
"""

from __future__ import annotations

import math

from clustersim.engine.fabric.compiled.heaps import level_pop, level_push, level_settle, levels_order
from clustersim.engine.fabric.compiled.jit import (
    Record,
    bundles_of,
    chosen_of,
    classes_of,
    crossings_of,
    head_of,
    inner,
    levels_of,
    members_of,
    touched_of,
)

__all__ = ["TOLERANCE", "choose", "fill", "join"]

TOLERANCE = 1e-10
"""Relative; a class joins where its rate is wrong by more."""
_CANCELLED = 1e-3
"""What is left of a sum after so much was subtracted has lost a few digits, and is added up afresh."""


@inner
def choose(s: int, c: int) -> None:
    """Let class `c` be one of F; `join` counts it on its bundles."""
    head = head_of(s)[0]
    if classes_of(s)[c].stamp != head.stamp:
        classes_of(s)[c].stamp = head.stamp
        chosen_of(s)[head.chosen] = c
        head.chosen += 1


@inner
def join(s: int, begin: int) -> None:
    """Count the chosen from `begin` on as F: what their bundles offer F grows by what they consumed."""
    head = head_of(s)[0]
    stamp = head.stamp
    for place in range(begin, head.chosen):
        flow_class = classes_of(s)[chosen_of(s)[place]]
        for at in range(flow_class.first, flow_class.first + flow_class.crossings):
            crossing = crossings_of(s)[at]
            bundle = bundles_of(s)[crossing.bundle]
            if bundle.stamp != stamp:
                bundle.stamp = stamp
                touched_of(s)[head.touched] = crossing.bundle
                head.touched += 1
                bundle.local, bundle.inside = -1, 0
                bundle.offer, bundle.demand = bundle.capacity - bundle.load, 0.0
            crossing.next = bundle.local
            bundle.local = at
            bundle.inside += 1
            bundle.offer += crossing.weight * flow_class.total
            bundle.demand += crossing.weight * flow_class.count
            if bundle.inside == bundle.users:
                bundle.offer = bundle.capacity  # nobody else is there: no rounding


@inner
def fill(s: int) -> None:
    """Raise all rates of F together; freeze at full bundles and at caps."""
    head = head_of(s)[0]
    head.turn += 1
    head.levels = 0
    for place in range(head.touched):
        bundle = bundles_of(s)[touched_of(s)[place]]
        if bundle.inside > 1:
            bundle.free, bundle.need, bundle.rising = bundle.offer, bundle.demand, bundle.inside
            _note(s, bundle.free / bundle.need, touched_of(s)[place])
    for place in range(head.chosen):
        _note(s, _cap(s, chosen_of(s)[place]), -1 - chosen_of(s)[place])
    levels_order(s)
    rising = head.chosen
    while rising > 0:
        key, who = levels_of(s)[0].key, levels_of(s)[0].who
        if who < 0:
            rising += _come_to_cap(s, -1 - who, key)
        else:
            rising += _come_to_bundle(s, who, key)


@inner
def _note(s: int, key: float, who: int) -> None:
    """Append an entry, at first without order; infinite ones never come up."""
    if key != math.inf:
        place = head_of(s)[0].levels
        levels_of(s)[place].key, levels_of(s)[place].who = key, who
        head_of(s)[0].levels = place + 1


@inner
def _cap(s: int, c: int) -> float:
    """Find what constant caps leave class `c`: its bound, and bundles where it is alone of F."""
    flow_class = classes_of(s)[c]
    cap, holder, count = flow_class.bound, -1, flow_class.count
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        crossing = crossings_of(s)[at]
        bundle = bundles_of(s)[crossing.bundle]
        if bundle.inside == 1 and bundle.offer < cap * (crossing.weight * count):
            cap, holder = bundle.offer / (crossing.weight * count), at
    flow_class.cap, flow_class.cap_holder = cap, holder
    return float(cap)


@inner
def _come_to_cap(s: int, c: int, key: float) -> int:
    """Deal with a class whose cap is the least level; return by how many the rising grow."""
    head, flow_class = head_of(s)[0], classes_of(s)[c]
    if flow_class.frozen == head.turn:
        level_pop(s)
        return 0
    holder = flow_class.cap_holder
    if holder >= 0 and bundles_of(s)[crossings_of(s)[holder].bundle].inside > 1:
        cap = _cap(s, c)  # somebody joined there since
        if cap == math.inf:
            level_pop(s)
            return 0
        if cap > key:
            level_settle(s, 0, cap, -1 - c)
            return 0
        holder = flow_class.cap_holder
    if holder >= 0:
        admitted = _admit(s, crossings_of(s)[holder].bundle, key)
        if admitted:
            return admitted
    level_pop(s)
    rate = max(flow_class.cap, 0.0)
    _freeze(s, c, rate, holder)
    if holder >= 0:
        bundle = bundles_of(s)[crossings_of(s)[holder].bundle]
        bundle.full_turn, bundle.new_level = head.turn, rate
    return -1


@inner
def _come_to_bundle(s: int, index: int, key: float) -> int:
    """Deal with a bundle whose level is the least; return by how many the rising grow."""
    head, bundle = head_of(s)[0], bundles_of(s)[index]
    if bundle.rising == 0:
        level_pop(s)
        return 0
    if bundle.rising < bundle.inside:
        rounded = bundle.need < _CANCELLED * bundle.demand
        if rounded or not bundle.free / bundle.need > key:
            _residual(s, bundle)
    level = bundle.free / bundle.need
    if level > key:
        level_settle(s, 0, level, index)
        return 0
    admitted = _admit(s, index, level)
    if admitted:
        return admitted
    level_pop(s)
    level = max(level, 0.0)
    bundle.full_turn, bundle.new_level = head.turn, level
    frozen, at = 0, bundle.local
    while at >= 0:
        c = crossings_of(s)[at].flow_class
        if classes_of(s)[c].frozen != head.turn:
            _freeze(s, c, level, at)
            frozen += 1
        at = crossings_of(s)[at].next
    return -frozen


@inner
def _residual(s: int, bundle: Record) -> None:
    """Add up afresh what a bundle still has for whom, so that no rounding accumulates."""
    turn = head_of(s)[0].turn
    free, need, rising = bundle.offer, 0.0, 0
    at = bundle.local
    while at >= 0:
        crossing = crossings_of(s)[at]
        flow_class = classes_of(s)[crossing.flow_class]
        if flow_class.frozen == turn:
            free -= crossing.weight * flow_class.count * flow_class.new_rate
        else:
            need += crossing.weight * flow_class.count
            rising += 1
        at = crossing.next
    bundle.free, bundle.need, bundle.rising = free, need, rising


@inner
def _freeze(s: int, c: int, rate: float, holder: int) -> None:
    """Fix the rate of class `c`; its bundles have so much less for the others."""
    flow_class = classes_of(s)[c]
    flow_class.frozen, flow_class.new_rate, flow_class.new_holder = head_of(s)[0].turn, rate, holder
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        crossing = crossings_of(s)[at]
        bundle = bundles_of(s)[crossing.bundle]
        if bundle.inside > 1:
            weight = crossing.weight * flow_class.count
            bundle.free -= weight * rate
            bundle.need -= weight
            bundle.rising -= 1


@inner
def _admit(s: int, index: int, level: float) -> int:
    """Let those outside F who run above the level at which a bundle is full join; return how many.

    What is frozen stays so: who joins is faster than all levels so far, so it crosses no bundle
    that froze before.
    """
    head, bundle = head_of(s)[0], bundles_of(s)[index]
    if bundle.inside == bundle.users or level >= bundle.level * (1.0 - TOLERANCE):
        return 0  # nobody outside, or nobody there faster: all kept below the old level
    limit, before = max(level, 0.0) * (1.0 + TOLERANCE), head.chosen
    for place in range(bundle.first, bundle.first + bundle.users):
        c = crossings_of(s)[members_of(s)[place]].flow_class
        if classes_of(s)[c].rate > limit:
            choose(s, c)
    if head.chosen == before:
        return 0
    join(s, before)
    for place in range(before, head.chosen):
        _raise_with_others(s, chosen_of(s)[place])
    return int(head.chosen - before)


@inner
def _raise_with_others(s: int, c: int) -> None:
    """Let a class that joined in the middle of a filling rise with the others."""
    flow_class = classes_of(s)[c]
    cap = _cap(s, c)
    if cap != math.inf:
        level_push(s, cap, -1 - c)
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        bundle = bundles_of(s)[crossings_of(s)[at].bundle]
        if bundle.inside > 1:
            _residual(s, bundle)
            level_push(s, bundle.free / bundle.need, crossings_of(s)[at].bundle)
