"""Classes at their rates: what has moved, what held them back, and who is done next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heappush
from typing import TYPE_CHECKING

from clustersim.engine.fabric.completions import Completions
from clustersim.engine.fabric.sharing import BOUND, FULL

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow_class import FlowClass
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["Pacer"]

_NEARLY = 1.0 - FULL


class Pacer:
    """Gives classes the rates that were found, and keeps the log and the queue of completions.

    Parameters
    ----------
    log
        Where to write what moved.
    marks
        Whether to mark in the log who fills its narrowest links by itself.
    """

    __slots__ = ("changed", "completions", "log", "marks")

    def __init__(self, log: list[float], *, marks: bool) -> None:
        self.log = log
        self.marks = marks
        self.completions = Completions()
        self.changed: list[RouteSet] | None = None
        """Where to note whose total rate changed, if somebody asks."""

    def give(self, flow_classes: Iterable[FlowClass], now_s: float) -> None:
        """Give classes the rate and the holder that the solver found."""
        log, entries, marks, changed = self.log, self.completions.entries, self.marks, self.changed
        for flow_class in flow_classes:
            rate, route_set, count = flow_class.new_rate, flow_class.route_set, flow_class.count
            total, mark = count * rate, route_set.index
            if total >= route_set.narrowest * _NEARLY and marks:
                mark = -1 - mark
            if rate != flow_class.rate or mark != flow_class.mark or flow_class.dirty:
                since = flow_class.since
                if since < now_s:
                    service = flow_class.rate * (now_s - since)
                    if service > 0.0:
                        flow_class.served += service
                        log += (flow_class.mark, since, now_s, count * service)
                    flow_class.since = now_s
                flow_class.rate, flow_class.total = rate, total
                flow_class.mark, flow_class.dirty = mark, False
                finish_s = math.inf
                if rate > 0.0:
                    left = flow_class.heap[0][0] - flow_class.served
                    finish_s = now_s + left / rate if left > 0.0 else now_s
                    if finish_s < flow_class.queued_s:
                        flow_class.queued_s = finish_s
                        heappush(entries, (finish_s, flow_class.index, flow_class))
                flow_class.finish_s = finish_s
                if changed is not None:
                    changed.append(route_set)
            holder = flow_class.new_holder
            if flow_class.holder is not holder:
                _change_holder(flow_class)
            link = BOUND
            if holder is not None:
                link = holder.tightest
            elif flow_class.bound * count > route_set.narrowest:
                link = route_set.narrowest_link
            if link != flow_class.holder_link:
                if flow_class.held_since < now_s:
                    flow_class.settle_holder(now_s)
                flow_class.holder_link = link

    def begin(self, flow_class: FlowClass, size_bytes: float, now_s: float) -> float:
        """Let a class of one flow that alters nobody's rate begin at its cap; return when it is done."""
        route_set, rate = flow_class.route_set, flow_class.cap
        flow_class.rate = flow_class.total = rate
        narrowest = route_set.narrowest
        if flow_class.bound > narrowest:
            flow_class.holder_link = route_set.narrowest_link
        if rate >= narrowest * _NEARLY and self.marks:
            flow_class.mark = -1 - route_set.index
        flow_class.finish_s = flow_class.queued_s = finish_s = now_s + size_bytes / rate
        heappush(self.completions.entries, (finish_s, flow_class.index, flow_class))
        if self.changed is not None:
            self.changed.append(route_set)
        return finish_s

    def go_on(self, flow_class: FlowClass, now_s: float) -> None:
        """Find the next completion of a settled class whose flows changed but whose rate does not."""
        left = flow_class.heap[0][0] - flow_class.served
        flow_class.finish_s = now_s + max(left, 0.0) / flow_class.rate
        self.completions.put(flow_class)


def _change_holder(flow_class: FlowClass) -> None:
    """Let the bundles know which of them holds a class back now."""
    before, after = flow_class.holder, flow_class.new_holder
    if before is not None:
        del before.held[flow_class]
    if after is not None:
        after.hold(flow_class)
    flow_class.holder = after
