"""What a fabric on a clock asks for: flows start and finish, an instant is solved.

A class that lost its last flow, and whose bundles hold nobody else back, changes nobody's rate.
It stays on its bundles until the clock moves on: an equal flow that follows at once finds it as it
was. The arrival of a class that meets no full bundle is dealt with at once; all else is pending.
"""

from __future__ import annotations

import math

from clustersim.engine.fabric.compiled.fill import TOLERANCE
from clustersim.engine.fabric.compiled.instant import (
    activate,
    begin_flow,
    complete,
    deactivate,
    note_holders,
    schedule,
    settle,
    settle_holder,
    solve_instant,
    watch,
)
from clustersim.engine.fabric.compiled.jit import (
    active_of,
    bundles_of,
    classes_of,
    crossings_of,
    dirty_of,
    head_of,
    inner,
    links_of,
    members_of,
    queue_of,
    spots_of,
)
from clustersim.engine.fabric.compiled.members import hold
from clustersim.engine.fabric.compiled.ripple import count_solve

__all__ = [
    "catch_up",
    "causes",
    "finish_due",
    "link_load",
    "link_used",
    "settle_all",
    "solve_pending",
    "start_flow",
    "take_departed_off",
]


@inner
def _next_s(s: int) -> float:
    """Note the time of the next completion in the header, and return it; -1 while it waits for a solve."""
    head = head_of(s)[0]
    head.next_s = queue_of(s)[0].key if head.queue else math.inf
    if head.pending:
        head.next_s = -1.0
    return float(head.next_s)


@inner
def catch_up(s: int, now_s: float) -> None:
    """Take classes off their bundles that lost their last flow before now."""
    head = head_of(s)[0]
    if now_s > head.departed_s:
        take_departed_off(s)


@inner
def take_departed_off(s: int) -> None:
    """Take classes off their bundles that lost their last flow and hold nobody back."""
    head = head_of(s)[0]
    if not head.departed:
        return
    head.departed = 0
    for place in range(head.dirty):
        c = dirty_of(s)[place]
        classes_of(s)[c].dirty = 0
        if classes_of(s)[c].count == 0:
            deactivate(s, c, head.departed_s)
    head.dirty = 0


@inner
def start_flow(s: int, c: int, flow: int, size_bytes: float, now_s: float) -> float:
    """Begin a flow; return the time of the next completion, -1 where that waits for a solve."""
    head, flow_class = head_of(s)[0], classes_of(s)[c]
    catch_up(s, now_s)
    head.holders = 0
    begin_flow(s, c, flow, size_bytes, now_s)
    if head.pending:
        return _next_s(s)
    if flow_class.active_place >= 0:
        if flow_class.total == flow_class.count * flow_class.rate and flow_class.total > 0.0:
            schedule(s, c, now_s)  # as many came as went
            return _next_s(s)
    else:
        if head.departed:
            flow_class.dirty = 0  # it is the last of the dirty ones
            head.dirty -= 1
            take_departed_off(s)
            flow_class.dirty, dirty_of(s)[0], head.dirty = 1, c, 1
        if _fits(s, c, now_s):
            flow_class.dirty, head.dirty = 0, 0
            return _next_s(s)
    head.pending, head.departed = 1, 0
    return _next_s(s)


@inner
def _fits(s: int, c: int, now_s: float) -> bool:
    """Let a class begin, if that changes nobody else's rate."""
    flow_class = classes_of(s)[c]
    rate, holder = flow_class.bound, -1
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        crossing = crossings_of(s)[at]
        bundle = bundles_of(s)[crossing.bundle]
        if bundle.held > 0:
            return False
        free = (bundle.capacity - bundle.load if bundle.users > 0 else bundle.capacity) / (
            crossing.weight * flow_class.count
        )
        if free < rate:
            rate, holder = free, at
    if rate <= 0.0 or (holder >= 0 and _somebody_faster(s, crossings_of(s)[holder].bundle, rate)):
        return False
    activate(s, c)
    flow_class.rate, flow_class.total, flow_class.holder = rate, flow_class.count * rate, holder
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        crossing = crossings_of(s)[at]
        bundle = bundles_of(s)[crossing.bundle]
        bundle.load = (
            bundle.load + crossing.weight * flow_class.total
            if bundle.users > 1
            else crossing.weight * flow_class.total
        )
        watch(s, crossing.bundle, now_s)
    if holder >= 0:
        hold(s, holder)
        bundles_of(s)[crossings_of(s)[holder].bundle].level = rate
    schedule(s, c, now_s)
    count_solve(s, 1, now_s)
    return True


@inner
def _somebody_faster(s: int, index: int, rate: float) -> bool:
    bundle = bundles_of(s)[index]
    for place in range(bundle.first, bundle.first + bundle.users):
        c = crossings_of(s)[members_of(s)[place]].flow_class
        if classes_of(s)[c].rate > rate * (1.0 + TOLERANCE):
            return True
    return False


@inner
def finish_due(s: int, due_s: float, now_s: float) -> int:
    """End the flows that are done by `due_s`; return how many, and leave them in `done`."""
    head = head_of(s)[0]
    catch_up(s, now_s)
    head.done = head.holders = 0
    while head.queue and queue_of(s)[0].key <= due_s:
        complete(s, queue_of(s)[0].who, now_s)
    if head.done and not head.pending:
        head.departed, head.departed_s = 1, now_s
        for place in range(head.dirty):
            if _others_feel(s, dirty_of(s)[place]):
                head.pending, head.departed = 1, 0
                break
    _next_s(s)
    return int(head.done)


@inner
def _others_feel(s: int, c: int) -> bool:
    """Whether somebody's rate may change because flows of class `c` are done."""
    flow_class = classes_of(s)[c]
    if flow_class.count > 0:
        return True
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        if bundles_of(s)[crossings_of(s)[at].bundle].held > (1 if at == flow_class.holder else 0):
            return True
    return False


@inner
def solve_pending(s: int, now_s: float) -> float:
    """Find the rates after all changes of this instant; return the time of the next completion."""
    head = head_of(s)[0]
    catch_up(s, now_s)
    if head.pending:
        head.pending = head.departed = 0
        solve_instant(s, now_s)
    return _next_s(s)


@inner
def causes(s: int, c: int, now_s: float) -> None:
    """Find which links held class `c` back up to now, and how long."""
    head_of(s)[0].holders = 0
    if classes_of(s)[c].count > 0:
        settle_holder(s, c, now_s)
    note_holders(s, c)


@inner
def link_load(s: int, index: int) -> float:
    """Return the bytes/s that cross a link."""
    link = links_of(s)[index]
    take_departed_off(s)
    if link.bundle < 0:
        return 0.0
    load = bundles_of(s)[link.bundle].load
    merged = bundles_of(s)[link.bundle].link < 0
    return float(load * spots_of(s)[link.spot].weight if merged else load)


@inner
def link_used(s: int, index: int) -> bool:
    """Whether flows that have not ended use a link."""
    own = links_of(s)[index].bundle
    if own >= 0:
        bundle = bundles_of(s)[own]
        for place in range(bundle.first, bundle.first + bundle.users):
            if classes_of(s)[crossings_of(s)[members_of(s)[place]].flow_class].count > 0:
                return True
    return False


@inner
def settle_all(s: int, now_s: float) -> None:
    """Bring everything that grows with time up to now, and write what has moved to the log."""
    catch_up(s, now_s)
    for place in range(head_of(s)[0].active):
        c = active_of(s)[place]
        if classes_of(s)[c].count > 0:
            settle(s, c, now_s)
            settle_holder(s, c, now_s)
