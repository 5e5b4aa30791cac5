"""Classes in time: flows begin and end, and all changes of one instant are solved at once."""

from __future__ import annotations

import math

from clustersim.engine.fabric.compiled.fill import choose
from clustersim.engine.fabric.compiled.heaps import flow_insert, flow_pop, queue_put, queue_remove
from clustersim.engine.fabric.compiled.jit import (
    Record,
    active_of,
    bundle_spans_of,
    bundles_of,
    changed_of,
    chosen_of,
    classes_of,
    crossings_of,
    dirty_of,
    done_of,
    flows_of,
    head_of,
    holders_of,
    inner,
    log_of,
    members_of,
    routes_of,
    shaken_of,
    touched_of,
)
from clustersim.engine.fabric.compiled.members import attach, detach, hold, let_go
from clustersim.engine.fabric.compiled.ripple import add_up_loads, choose_held, ripple

__all__ = [
    "FULL",
    "activate",
    "begin_flow",
    "close_span",
    "complete",
    "deactivate",
    "link_of",
    "note_holders",
    "schedule",
    "settle",
    "settle_holder",
    "solve_instant",
    "watch",
]

FULL = 1e-9
"""A link is saturated where at most this share of its capacity is left."""
_SAME_RATE = 1e-12
"""A rate that moves by less, relatively, is left alone (rounding of the solve; assumed)."""


# -- flows -----------------------------------------------------------------------------


@inner
def begin_flow(s: int, c: int, flow: int, size_bytes: float, now_s: float) -> None:
    """Add a flow to class `c`."""
    head, flow_class = head_of(s)[0], classes_of(s)[c]
    if flow_class.count > 0:
        settle(s, c, now_s)
        settle_holder(s, c, now_s)
        if head.metered:
            note_holders(s, c)
    else:
        flow_class.since = flow_class.held_since = now_s
        if head.metered:
            _forget_holders(s, flow_class)
    flow_class.count += 1
    head.started += 1
    flows_of(s)[flow].target, flows_of(s)[flow].number = flow_class.served + size_bytes, head.started
    flow_class.root = flow_insert(s, flow_class.root, flow)
    mark(s, c)


@inner
def mark(s: int, c: int) -> None:
    """Note that flows of class `c` came or went."""
    if classes_of(s)[c].dirty == 0:
        classes_of(s)[c].dirty = 1
        dirty_of(s)[head_of(s)[0].dirty] = c
        head_of(s)[0].dirty += 1


@inner
def complete(s: int, c: int, now_s: float) -> None:
    """Take the flows with the least target out of class `c`, which has served it; note them as done."""
    head, flow_class = head_of(s)[0], classes_of(s)[c]
    target = flows_of(s)[flow_class.root].target
    service = target - flow_class.served
    if service > 0.0:
        _log(s, flow_class, now_s, flow_class.count * service)
    flow_class.served, flow_class.since = target, now_s
    first = head.holders
    if head.metered:
        settle_holder(s, c, now_s)
        note_holders(s, c)
    while flow_class.root >= 0:
        flow = flow_class.root
        if flows_of(s)[flow].target > target:
            break
        flow_class.root = flow_pop(s, flow)
        flow_class.count -= 1
        done = done_of(s)[head.done]
        done.flow, done.first, done.pairs = flow, first, head.holders - first
        head.done += 1
    if flow_class.count == 0:
        flow_class.served = 0.0
    queue_remove(s, c)
    mark(s, c)
    _observe(s, flow_class)


@inner
def _observe(s: int, flow_class: Record) -> None:
    """Note that the total rate of a class changed, for who asked."""
    head = head_of(s)[0]
    if head.observed:
        changed_of(s)[head.changed] = flow_class.route_set
        head.changed += 1


@inner
def note_holders(s: int, c: int) -> None:
    """Append which links held class `c` back in its present busy period, and how long."""
    flow_class = classes_of(s)[c]
    if flow_class.bound_s > 0.0:
        _note_holder(s, -1, flow_class.bound_s)
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        crossing = crossings_of(s)[at]
        if crossing.held_s > 0.0:
            _note_holder(s, link_of(s, crossing.bundle), crossing.held_s)


@inner
def _note_holder(s: int, link: int, held_s: float) -> None:
    head = head_of(s)[0]
    holder = holders_of(s)[head.holders]
    holder.link, holder.held_s = link, held_s
    head.holders += 1


@inner
def link_of(s: int, index: int) -> int:
    """Return the link that is full first of a bundle."""
    link = bundles_of(s)[index].link
    return int(link if link >= 0 else routes_of(s)[-1 - link].tightest)


@inner
def settle(s: int, c: int, now_s: float) -> None:
    """Bring the service of class `c` up to now and write it to the log."""
    flow_class = classes_of(s)[c]
    elapsed = now_s - flow_class.since
    if elapsed > 0.0:
        service = flow_class.rate * elapsed
        if service > 0.0:
            flow_class.served += service
            _log(s, flow_class, now_s, flow_class.count * service)
        flow_class.since = now_s


@inner
def _log(s: int, flow_class: Record, now_s: float, moved_bytes: float) -> None:
    head = head_of(s)[0]
    if head.metered:
        log_of(s)[head.log] = flow_class.route_set
        log_of(s)[head.log + 1] = flow_class.since
        log_of(s)[head.log + 2] = now_s
        log_of(s)[head.log + 3] = moved_bytes
        head.log += 4


@inner
def settle_holder(s: int, c: int, now_s: float) -> None:
    """Bring the seconds that the present holder held class `c` back up to now."""
    flow_class = classes_of(s)[c]
    elapsed = now_s - flow_class.held_since
    if elapsed > 0.0:
        if flow_class.holder >= 0:
            crossings_of(s)[flow_class.holder].held_s += elapsed
        else:
            flow_class.bound_s += elapsed
        flow_class.held_since = now_s


@inner
def _forget_holders(s: int, flow_class: Record) -> None:
    flow_class.bound_s = 0.0
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        crossings_of(s)[at].held_s = 0.0


# -- one instant -----------------------------------------------------------------------


@inner
def solve_instant(s: int, now_s: float) -> None:
    """Apply all changes of this instant with one solve."""
    head = head_of(s)[0]
    head.stamp += 1
    head.chosen = head.touched = 0
    for place in range(head.dirty):
        _take_in(s, dirty_of(s)[place], now_s)
    for place in range(head.shaken):
        index = shaken_of(s)[place]
        bundles_of(s)[index].shaken = 0
        choose_held(s, index)
        if bundles_of(s)[index].load > bundles_of(s)[index].capacity:
            _choose_all(s, bundles_of(s)[index])
    head.dirty = head.shaken = 0
    if head.chosen:
        if head.solves >= head.audit_at:
            add_up_loads(s)
        ripple(s, now_s)
        for place in range(head.chosen):
            _apply(s, chosen_of(s)[place], now_s)
        for place in range(head.touched):
            _apply_load(s, touched_of(s)[place], now_s)


@inner
def _take_in(s: int, c: int, now_s: float) -> None:
    """Choose whom the flows that came to or went from class `c` concern."""
    flow_class = classes_of(s)[c]
    if flow_class.count == 0:
        flow_class.dirty = 0
        deactivate(s, c, now_s)
        return
    if flow_class.total == flow_class.count * flow_class.rate and flow_class.total > 0.0:
        flow_class.dirty = 0
        schedule(s, c, now_s)  # as many came as went: no rate changes
        return
    if flow_class.active_place < 0:
        activate(s, c)
    choose(s, c)
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        choose_held(s, crossings_of(s)[at].bundle)


@inner
def _choose_all(s: int, bundle: Record) -> None:
    for place in range(bundle.first, bundle.first + bundle.users):
        c = crossings_of(s)[members_of(s)[place]].flow_class
        if classes_of(s)[c].count > 0:
            choose(s, c)


@inner
def activate(s: int, c: int) -> None:
    """Put a class on its bundles."""
    head, flow_class = head_of(s)[0], classes_of(s)[c]
    active_of(s)[head.active] = c
    flow_class.active_place = head.active
    head.active += 1
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        attach(s, at)


@inner
def deactivate(s: int, c: int, now_s: float) -> None:
    """Take a class without flows off its bundles; choose whom those hold back."""
    head, flow_class = head_of(s)[0], classes_of(s)[c]
    if flow_class.active_place < 0:
        return
    if head.metered:
        settle_holder(s, c, now_s)
    head.active -= 1
    last = active_of(s)[head.active]
    active_of(s)[flow_class.active_place] = last
    classes_of(s)[last].active_place = flow_class.active_place
    flow_class.active_place = -1
    if flow_class.holder >= 0:
        let_go(s, flow_class.holder)
    for at in range(flow_class.first, flow_class.first + flow_class.crossings):
        detach(s, at)
        index = crossings_of(s)[at].bundle
        bundle = bundles_of(s)[index]
        bundle.load = bundle.load - crossings_of(s)[at].weight * flow_class.total if bundle.users > 0 else 0.0
        if bundle.held > 0:
            choose_held(s, index)
        else:
            bundle.level = math.inf
        if head.metered:
            watch(s, index, now_s)
    flow_class.holder, flow_class.rate, flow_class.total = -1, 0.0, 0.0


@inner
def _apply(s: int, c: int, now_s: float) -> None:
    """Give a class the rate and the holder that the solver found."""
    flow_class = classes_of(s)[c]
    rate = flow_class.new_rate
    if abs(rate - flow_class.rate) > _SAME_RATE * rate or (rate == 0.0) != (flow_class.rate == 0.0):
        settle(s, c, now_s)
        flow_class.rate = rate
        flow_class.dirty = 1
    if flow_class.dirty:
        flow_class.dirty = 0
        flow_class.total = flow_class.count * flow_class.rate
        schedule(s, c, now_s)
    if flow_class.holder != flow_class.new_holder:
        if head_of(s)[0].metered:
            settle_holder(s, c, now_s)
        if flow_class.holder >= 0:
            let_go(s, flow_class.holder)
        if flow_class.new_holder >= 0:
            hold(s, flow_class.new_holder)
        flow_class.holder = flow_class.new_holder


@inner
def schedule(s: int, c: int, now_s: float) -> None:
    """Put the next completion of a class into the queue."""
    flow_class = classes_of(s)[c]
    _observe(s, flow_class)
    if flow_class.rate > 0.0:
        settle(s, c, now_s)
        left = flows_of(s)[flow_class.root].target - flow_class.served
        queue_put(s, c, now_s + left / flow_class.rate if left > 0.0 else now_s)
    else:
        queue_remove(s, c)


@inner
def _apply_load(s: int, index: int, now_s: float) -> None:
    """Bring load, level and saturation of a solved bundle up to date."""
    bundle = bundles_of(s)[index]
    load = bundle.capacity - bundle.offer if bundle.inside < bundle.users else 0.0
    at = bundle.local
    while at >= 0:
        crossing = crossings_of(s)[at]
        load += crossing.weight * classes_of(s)[crossing.flow_class].total
        at = crossing.next
    bundle.load = load
    if bundle.full_turn == head_of(s)[0].turn:
        bundle.level = bundle.new_level
    elif bundle.held == 0:
        bundle.level = math.inf
    if head_of(s)[0].metered:
        watch(s, index, now_s)


@inner
def watch(s: int, index: int, now_s: float) -> None:
    """Start or end a saturated span of a bundle, if its load says so."""
    bundle = bundles_of(s)[index]
    if bundle.load >= bundle.capacity * (1.0 - FULL) and bundle.users > 0:
        if bundle.saturated_since == math.inf:
            bundle.saturated_since = now_s
    elif bundle.saturated_since != math.inf:
        close_span(s, index, now_s)


@inner
def close_span(s: int, index: int, now_s: float) -> None:
    """End the saturated span of a bundle that is running, if one is."""
    bundle = bundles_of(s)[index]
    if now_s > bundle.saturated_since:
        spans = bundle_spans_of(s)[index]
        if spans.saturated_s == 0.0:
            spans.first_saturated_s = bundle.saturated_since
        spans.saturated_s += now_s - bundle.saturated_since
        spans.last_saturated_s = now_s
    bundle.saturated_since = math.inf
