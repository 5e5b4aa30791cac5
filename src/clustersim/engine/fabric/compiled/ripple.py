"""The max-min solver, compiled: only what a change reaches is solved again.

The same algorithm as `clustersim.engine.fabric.interpreted`, which tells why it is exact: F is
filled, those outside whom their holder no longer holds back join, until nobody does.
"""

from __future__ import annotations

from clustersim.engine.fabric.compiled.fill import TOLERANCE, choose, fill, join
from clustersim.engine.fabric.compiled.jit import (
    Record,
    active_of,
    bundle_spans_of,
    bundles_of,
    classes_of,
    crossings_of,
    head_of,
    inner,
    members_of,
    touched_of,
)

__all__ = ["add_up_loads", "choose_held", "count_solve", "ripple"]

_AUDIT = 4096
"""Loads are carried on from solve to solve at most so often before they are added up afresh,
which keeps their rounding below 1e-12 of the capacity (assumed)."""


@inner
def choose_held(s: int, index: int) -> None:
    """Let the classes that a bundle holds back be of F."""
    bundle = bundles_of(s)[index]
    for place in range(bundle.first, bundle.first + bundle.held):
        c = crossings_of(s)[members_of(s)[place]].flow_class
        if classes_of(s)[c].count > 0:
            choose(s, c)


@inner
def ripple(s: int, now_s: float) -> None:
    """Find the rates of the chosen, and of whom their change reaches."""
    head = head_of(s)[0]
    joined = 0
    while joined < head.chosen:
        join(s, joined)
        fill(s)
        joined = head.chosen
        _verify(s)
    count_solve(s, head.chosen, now_s)


@inner
def count_solve(s: int, classes: int, now_s: float) -> None:
    """Count a solve for so many classes; several in one instant are one."""
    head = head_of(s)[0]
    if head.solved_s != now_s:
        head.solves += 1
        head.solved_s = now_s
    head.flows_touched += classes


@inner
def _verify(s: int) -> None:
    """Choose the classes outside F that their holder no longer holds back."""
    head = head_of(s)[0]
    for place in range(head.touched):
        bundle = bundles_of(s)[touched_of(s)[place]]
        if bundle.held > 0 and bundle.inside < bundle.users:
            _release(s, bundle)


@inner
def _release(s: int, bundle: Record) -> None:
    """Choose those outside F, held back by a bundle, that it no longer holds back."""
    stamp = head_of(s)[0].stamp
    free, top, known = 0.0, 0.0, False
    for place in range(bundle.first, bundle.first + bundle.held):
        crossing = crossings_of(s)[members_of(s)[place]]
        flow_class = classes_of(s)[crossing.flow_class]
        if flow_class.stamp == stamp:
            continue
        if not known:
            free, top, known = bundle.offer, 0.0, True
            at = bundle.local
            while at >= 0:
                beside = crossings_of(s)[at]
                other = classes_of(s)[beside.flow_class]
                free -= beside.weight * other.count * other.new_rate
                top = max(top, other.new_rate)
                at = beside.next
        if top > flow_class.rate * (1.0 + TOLERANCE) or free > TOLERANCE * crossing.weight * flow_class.total:
            choose(s, crossing.flow_class)


@inner
def add_up_loads(s: int) -> None:
    """Add up all loads afresh now and then, so that their rounding cannot accumulate."""
    head = head_of(s)[0]
    head.audit_at = head.solves + min(256 + head.active, _AUDIT)
    for place in range(head.active):
        flow_class = classes_of(s)[active_of(s)[place]]
        for at in range(flow_class.first, flow_class.first + flow_class.crossings):
            index = crossings_of(s)[at].bundle
            if bundle_spans_of(s)[index].audited != head.audit_at:
                bundle_spans_of(s)[index].audited = head.audit_at
                bundle = bundles_of(s)[index]
                load = 0.0
                for member in range(bundle.first, bundle.first + bundle.users):
                    crossing = crossings_of(s)[members_of(s)[member]]
                    load += crossing.weight * classes_of(s)[crossing.flow_class].total
                bundle.load = load
