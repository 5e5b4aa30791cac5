"""Links and route sets: who uses which link, and the bundles and classes that come of it.

A link that several route sets use is a bundle of its own. Links that only one route set uses need
not be told apart: where it is the first to use many at once they make one bundle, its *rest*, of
capacity min C_l / w_l. A link leaves the rest when another route set comes to use it or when its
capacity changes. A ring over thousands of GPUs that shares nothing costs as much as one link.
"""

from __future__ import annotations

import math

from clustersim.engine.fabric.compiled.instant import FULL, close_span, settle_holder, watch
from clustersim.engine.fabric.compiled.jit import (
    Record,
    bundle_spans_of,
    bundles_of,
    classes_of,
    crossings_of,
    head_of,
    inbox_of,
    inner,
    link_spans_of,
    links_of,
    members_of,
    routes_of,
    shaken_of,
    spots_of,
    told_of,
)
from clustersim.engine.fabric.compiled.members import attach

__all__ = ["add_bounded_class", "add_route_set", "change_capacity", "is_tight"]

_SHARED = -2
_UNLIMITED = 1e300
"""Capacity of a rest that has no link left."""


@inner
def add_route_set(s: int, count: int, owner: int, now_s: float) -> int:
    """Take up a route set whose links and weights lie in the inbox; return its class, -1 for want of room.

    The route sets that it ends the privacy of are `told`. `news` has 1 where it is not private itself,
    and 2 where somebody was told or changes wait for a solve. Owner 0 is a stranger to everybody.
    """
    head, inbox = head_of(s)[0], inbox_of(s)
    head.told = 0
    if not _room_for(s, count):
        return -1
    route = head.routes
    head.routes += 1
    route_set = routes_of(s)[route]
    route_set.first, route_set.spots, route_set.owner = head.spots, count, owner
    route_set.rest = route_set.tightest = route_set.flow_class = -1
    fresh = 0
    for place in range(count):
        spot = spots_of(s)[head.spots + place]
        spot.link, spot.weight, spot.route = int(inbox[place]), inbox[count + place], route
        index = links_of(s)[spot.link].bundle
        if index < 0:
            fresh += 1
        elif bundles_of(s)[index].link < 0:
            _split(s, spot.link, now_s)
    head.spots += count
    private = True
    for place in range(count):
        if not _take_link(s, route_set.first + place, owner):
            private = False
    route_set.private = private
    _bundle_fresh(s, route_set, route, fresh)
    head.news = (0 if private else 1) + (2 if head.told or head.pending else 0)
    return add_class(s, route, math.inf)


@inner
def _take_link(s: int, place: int, owner: int) -> bool:
    """Use one more link; tell whom that makes strangers to each other, return whether it is private."""
    spot = spots_of(s)[place]
    link = links_of(s)[spot.link]
    spot.next = link.spot
    link.spot = place
    if link.owner == -1:
        link.owner = owner
    elif link.owner != _SHARED and (link.owner != owner or owner == 0):
        link.owner = _SHARED
        _tell(s, spot.next)
    return link.owner != _SHARED and not link.altered


@inner
def _tell(s: int, place: int) -> None:
    """End the privacy of the route set of a spot, and of those before it on the same link."""
    while place >= 0:
        _lose_privacy(s, spots_of(s)[place].route)
        place = spots_of(s)[place].next


@inner
def _lose_privacy(s: int, route: int) -> None:
    head = head_of(s)[0]
    if routes_of(s)[route].private:
        routes_of(s)[route].private = 0
        told_of(s)[head.told] = route
        head.told += 1


@inner
def _bundle_fresh(s: int, route_set: Record, route: int, fresh: int) -> None:
    """Make bundles of the links that nobody used before: one if they are many."""
    merge = fresh >= head_of(s)[0].merge_from
    if merge:
        route_set.rest = _new_bundle(s, -1 - route, _UNLIMITED)
    for place in range(route_set.first, route_set.first + route_set.spots):
        spot = spots_of(s)[place]
        link = links_of(s)[spot.link]
        if link.bundle < 0:
            link.bundle = route_set.rest if merge else _new_bundle(s, spot.link, link.capacity)
    if merge:
        _find_tightest(s, route_set)


@inner
def _new_bundle(s: int, link: int, capacity: float) -> int:
    head = head_of(s)[0]
    index = head.bundles
    head.bundles += 1
    bundle = bundles_of(s)[index]
    bundle.load = 0.0
    bundle.level = bundle.saturated_since = math.inf
    bundle.link = link
    bundle.capacity = capacity
    return int(index)


# -- the rest of a route set -------------------------------------------------------------


@inner
def _find_tightest(s: int, route_set: Record) -> None:
    """Find the link of the rest that fills up first."""
    tightest, least = -1, _UNLIMITED
    for place in range(route_set.first, route_set.first + route_set.spots):
        spot = spots_of(s)[place]
        link = links_of(s)[spot.link]
        if link.bundle == route_set.rest and link.capacity / spot.weight < least:
            tightest, least = spot.link, link.capacity / spot.weight
    route_set.tightest = tightest
    bundles_of(s)[route_set.rest].capacity = least


@inner
def is_tight(s: int, route_set: Record, spot: Record) -> bool:
    """Whether a link of the rest is full whenever the rest is."""
    capacity = links_of(s)[spot.link].capacity / spot.weight
    return bool(capacity <= bundles_of(s)[route_set.rest].capacity * (1.0 + FULL))


@inner
def _split(s: int, index: int, now_s: float) -> None:
    """Let a link leave the rest of the one route set that uses it; it carries the same flows."""
    link = links_of(s)[index]
    spot = spots_of(s)[link.spot]
    route_set = routes_of(s)[spot.route]
    rest = route_set.rest
    was_saturated = bundles_of(s)[rest].saturated_since != math.inf
    close_span(s, rest, now_s)
    if is_tight(s, route_set, spot):
        _credit(s, rest, index)
    own = _new_bundle(s, index, link.capacity)
    link.bundle = own
    bundles_of(s)[own].load = bundles_of(s)[rest].load * spot.weight
    tightest = route_set.tightest == index
    c = route_set.flow_class
    while c >= 0:
        _add_crossing(s, c, own, spot.weight)
        flow_class = classes_of(s)[c]
        if tightest:
            settle_holder(s, c, now_s)
            crossings_of(s)[flow_class.first + flow_class.crossings - 1].held_s = crossings_of(s)[
                flow_class.first
            ].held_s
            crossings_of(s)[flow_class.first].held_s = 0.0
        c = flow_class.next
    if tightest:
        _retighten(s, route_set)
    if was_saturated:
        watch(s, rest, now_s)
        watch(s, own, now_s)


@inner
def _retighten(s: int, route_set: Record) -> None:
    """Find the tightest link of the rest after it left; stop at one that is as tight."""
    bundle, spans = bundles_of(s)[route_set.rest], bundle_spans_of(s)[route_set.rest]
    for place in range(route_set.first, route_set.first + route_set.spots):
        spot = spots_of(s)[place]
        link = links_of(s)[spot.link]
        if link.bundle == route_set.rest and link.capacity / spot.weight <= bundle.capacity:
            route_set.tightest = spot.link
            return
    if spans.saturated_s > 0.0:
        for place in range(route_set.first, route_set.first + route_set.spots):
            spot = spots_of(s)[place]
            if links_of(s)[spot.link].bundle == route_set.rest and is_tight(s, route_set, spot):
                _credit(s, route_set.rest, spot.link)
        spans.saturated_s = 0.0
    _find_tightest(s, route_set)
    _shake(s, route_set.rest)


@inner
def _credit(s: int, index: int, link: int) -> None:
    """Book the saturated time of a bundle on one of its links."""
    spans, own = bundle_spans_of(s)[index], link_spans_of(s)[link]
    if spans.saturated_s > 0.0:
        if own.saturated_s == 0.0:
            own.first_saturated_s, own.last_saturated_s = math.inf, -math.inf
        own.saturated_s += spans.saturated_s
        own.first_saturated_s = min(own.first_saturated_s, spans.first_saturated_s)
        own.last_saturated_s = max(own.last_saturated_s, spans.last_saturated_s)


# -- changes of capacity -----------------------------------------------------------------


@inner
def change_capacity(s: int, index: int, capacity: float, now_s: float) -> bool:
    """Change a link; False, and nothing done, for want of room."""
    head, link = head_of(s)[0], links_of(s)[index]
    head.told = 0
    inbox_of(s)[0] = index
    if not _room_for(s, 1):
        return False
    if link.bundle >= 0:
        if bundles_of(s)[link.bundle].link < 0:
            _split(s, index, now_s)
        bundle = bundles_of(s)[link.bundle]
        bundle.capacity = capacity
        watch(s, link.bundle, now_s)
        if bundle.users > 0:
            _shake(s, link.bundle)
    if capacity != link.capacity:
        link.altered = 1
        _tell(s, link.spot)
    link.capacity = capacity
    return True


@inner
def _shake(s: int, index: int) -> None:
    """Note that a bundle changed under its flows."""
    head, bundle = head_of(s)[0], bundles_of(s)[index]
    if bundle.users > 0:
        head.pending = 1
        if bundle.shaken == 0:
            bundle.shaken = 1
            shaken_of(s)[head.shaken] = index
            head.shaken += 1


# -- classes -----------------------------------------------------------------------------


@inner
def add_bounded_class(s: int, route: int, bound: float) -> int:
    """Return a class of a route set for flows with a bound; -1 for want of room.

    Bounds vary: a class whose flows are all done takes the new bound.
    """
    route_set, inbox = routes_of(s)[route], inbox_of(s)
    c = route_set.flow_class
    while c >= 0:
        flow_class = classes_of(s)[c]
        if flow_class.bound != math.inf and flow_class.active_place < 0 and flow_class.dirty == 0:
            flow_class.bound = bound
            return int(c)
        c = flow_class.next
    for place in range(route_set.spots):
        inbox[place] = spots_of(s)[route_set.first + place].link
    return add_class(s, route, bound) if _room_for(s, route_set.spots) else -1


@inner
def add_class(s: int, route: int, bound: float) -> int:
    """Add a class of flows of a route set with one bound; return its number. There must be room."""
    head, route_set = head_of(s)[0], routes_of(s)[route]
    c = head.classes
    head.classes += 1
    flow_class = classes_of(s)[c]
    flow_class.first, flow_class.crossings, flow_class.room = (
        head.crossings,
        0,
        route_set.spots + (1 if route_set.rest >= 0 else 0),
    )
    head.crossings += flow_class.room
    flow_class.bound, flow_class.holder, flow_class.route_set = bound, -1, route
    flow_class.root = flow_class.queue_place = flow_class.active_place = -1
    flow_class.next, route_set.flow_class = route_set.flow_class, c
    if route_set.rest >= 0:
        _add_crossing(s, c, route_set.rest, 1.0)  # the first, so that `_split` finds it
    for place in range(route_set.first, route_set.first + route_set.spots):
        spot = spots_of(s)[place]
        index = links_of(s)[spot.link].bundle
        if index != route_set.rest:
            _add_crossing(s, c, index, spot.weight)
    return int(c)


@inner
def _add_crossing(s: int, c: int, index: int, weight: float) -> None:
    """Let a class cross one more bundle."""
    flow_class = classes_of(s)[c]
    if flow_class.crossings == flow_class.room:
        _move_crossings(s, flow_class)
    at = flow_class.first + flow_class.crossings
    flow_class.crossings += 1
    crossing = crossings_of(s)[at]
    crossing.bundle, crossing.flow_class, crossing.weight, crossing.held_s = index, c, weight, 0.0
    bundle = bundles_of(s)[index]
    bundle.crossers += 1
    if bundle.crossers > bundle.room:
        _move_members(s, index)
    if flow_class.active_place >= 0:
        attach(s, at)


@inner
def _move_crossings(s: int, flow_class: Record) -> None:
    """Move the crossings of a class to where there is room for twice as many."""
    head, crossings = head_of(s)[0], crossings_of(s)
    begin = head.crossings
    flow_class.room = 2 * flow_class.room + 2
    head.crossings += flow_class.room
    for place in range(flow_class.crossings):
        old, new = crossings[flow_class.first + place], crossings[begin + place]
        new.bundle, new.flow_class, new.weight = old.bundle, old.flow_class, old.weight
        new.place, new.held_s = old.place, old.held_s
        if flow_class.active_place >= 0:
            members_of(s)[bundles_of(s)[old.bundle].first + old.place] = begin + place
    if flow_class.holder >= 0:
        flow_class.holder += begin - flow_class.first
    flow_class.first = begin


@inner
def _move_members(s: int, index: int) -> None:
    """Move the members of a bundle to where there is room for twice as many."""
    head, bundle, members = head_of(s)[0], bundles_of(s)[index], members_of(s)
    begin = head.members
    bundle.room = 2 * bundle.room + 2
    head.members += bundle.room
    for place in range(bundle.users):
        members[begin + place] = members[bundle.first + place]
    bundle.first = begin


@inner
def _room_for(s: int, count: int) -> bool:
    """Whether there is room for a route set, or a change, of so many links of the inbox.

    Every one of them may leave the rest of another route set, which adds a crossing to each class
    of that one, and may move the members of a bundle and the crossings of a class.
    """
    head, inbox = head_of(s)[0], inbox_of(s)
    head.asked += 1
    crossings, members = 2 * count + 2, 4 * count
    for place in range(count):
        index = links_of(s)[int(inbox[place])].bundle
        if index >= 0:
            bundle = bundles_of(s)[index]
            members += 2 * bundle.room + 2
            if bundle.link < 0:
                members += 4 * bundle.crossers + 8
                crossings += _room_to_split(s, routes_of(s)[-1 - bundle.link])
    head.crossings_need, head.members_need = head.crossings + crossings, head.members + members
    head.bundles_need, head.classes_need = head.bundles + 2 * count + 1, head.classes + 1
    head.routes_need, head.spots_need = head.routes + 1, head.spots + count
    return bool(
        head.crossings_need <= head.crossings_room
        and head.members_need <= head.members_room
        and head.bundles_need <= head.bundles_room
        and head.classes_need <= head.classes_room
        and head.routes_need <= head.routes_room
        and head.spots_need <= head.spots_room
    )


@inner
def _room_to_split(s: int, route_set: Record) -> int:
    """Return what one more crossing of each class of a route set takes at the most, while rooms double."""
    head = head_of(s)[0]
    first = route_set.asked != head.asked
    route_set.asked = head.asked
    crossings, c = 0, route_set.flow_class
    while c >= 0:
        crossings += 6 + (2 * classes_of(s)[c].room + 2 if first else 0)
        c = classes_of(s)[c].next
    return crossings
