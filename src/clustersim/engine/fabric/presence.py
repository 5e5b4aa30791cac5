"""Classes on their bundles: who is there, and which bundles are contended.

Of the links of a path most have one user, and the class's cap says all about those. So a class
keeps a list of its contended bundles only, and all that the solver does is on them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clustersim.engine.fabric.bundle import NOBODY
from clustersim.engine.fabric.sharing import BOUND

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow_class import FlowClass

__all__ = ["enter", "enter_all", "leave", "recount", "take_parts"]


def enter(flow_class: FlowClass) -> list[tuple[Bundle, float]]:
    """Put a class that has no rate yet on its bundles; return those that others use too.

    `present` says with how many flows.
    """
    contended, count = flow_class.contended, flow_class.present
    for pair in flow_class.pairs:
        bundle, coefficient = pair
        active = bundle.active
        if active:
            if len(active) == 1:
                _become_contended(bundle)
            contended.append(pair)
            bundle.width += coefficient * count
        active[flow_class] = coefficient
    return contended


def enter_all(flow_class: FlowClass) -> list[tuple[Bundle, float]]:
    """Do the same where bundles count as contended from their first class on."""
    for bundle, coefficient in flow_class.pairs:
        bundle.active[flow_class] = coefficient
        bundle.width += coefficient * flow_class.present
    flow_class.contended += flow_class.pairs
    return flow_class.contended


def leave(flow_class: FlowClass, now_s: float, *, alone_from: int) -> list[FlowClass]:
    """Take a class off its bundles; return those whom the bundles that it shared hold back.

    A bundle on which `alone_from` classes remain or fewer is contended no longer.
    """
    released: list[FlowClass] = []
    total, count, holder = flow_class.total, flow_class.present, flow_class.holder
    if holder is not None:
        del holder.held[flow_class]
        flow_class.holder = None
    for bundle, _ in flow_class.pairs:
        del bundle.active[flow_class]
    for bundle, coefficient in flow_class.contended:
        released += bundle.held
        if len(bundle.active) <= alone_from:
            _become_alone(bundle, now_s)
        else:
            bundle.load -= coefficient * total
            bundle.width -= coefficient * count
            if bundle.full:
                bundle.watch(now_s)
                if not bundle.held:
                    bundle.level = math.inf
    flow_class.contended.clear()
    flow_class.rate = flow_class.total = 0.0
    flow_class.holder_link = BOUND
    return released


def recount(flow_class: FlowClass) -> None:
    """Let the contended bundles of a class know how many flows it has now."""
    more = flow_class.count - flow_class.present
    if more:
        flow_class.present = flow_class.count
        for bundle, coefficient in flow_class.contended:
            bundle.width += coefficient * more


def take_parts(bundle: Bundle, part: Bundle, *, contended_from: int) -> None:
    """Let the classes of a bundle know a part that was split off it."""
    if len(part.active) >= contended_from:
        for flow_class, coefficient in part.active.items():
            flow_class.contended.append((part, coefficient))


def _become_contended(bundle: Bundle) -> None:
    """A second class comes: what was known by the cap of the first is kept from now on."""
    for first, coefficient in bundle.active.items():
        first.contended.append((bundle, coefficient))
        bundle.width = coefficient * first.present
        bundle.load = coefficient * first.total
        if bundle.load >= bundle.nearly_full and first.holder is None and first.mark < 0:
            first.holder = bundle
            bundle.hold(first)
            bundle.level = first.rate
            bundle.full = True


def _become_alone(bundle: Bundle, now_s: float) -> None:
    """At most one class remains: its cap says all about the bundle."""
    if bundle.saturated_since != math.inf:
        bundle.close(now_s)
    for last, coefficient in bundle.active.items():
        last.contended.remove((bundle, coefficient))
        if last.holder is bundle:
            last.holder = None
    bundle.held = NOBODY
    bundle.level = math.inf
    bundle.load = bundle.width = 0.0
    bundle.full = False
