"""The classes that have flows: from the first flow of a route set with one bound to the last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clustersim.engine.fabric.flow_class import FlowClass
from clustersim.engine.fabric.presence import enter, enter_all, leave

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["Roster"]


class Roster:
    """Makes classes, puts them on their links, lets them wait for dead links, and takes them off.

    Parameters
    ----------
    contended_from
        As of `Interpreted`.
    """

    def __init__(self, *, contended_from: int) -> None:
        self.alive: dict[FlowClass, None] = {}
        """Classes with flows."""
        self.parked: dict[FlowClass, None] = {}
        """Those of them that wait for a link without capacity; they are on none of their links."""
        self._alone_from = contended_from - 1
        self.enter = enter if contended_from > 1 else enter_all
        """Puts a class on its links, and returns the bundles that are contended."""
        self._idle: list[FlowClass] = []
        self._classes = 0

    def admit(
        self, route_set: RouteSet, pairs: list[tuple[Bundle, float]], bound: float, now_s: float
    ) -> FlowClass:
        """Return a class with one flow, on no links yet; `pairs` are its bundles."""
        flow_class = self._idle.pop() if self._idle else FlowClass()
        self._classes += 1
        flow_class.index = self._classes
        flow_class.route_set = route_set
        flow_class.pairs = pairs
        flow_class.bound = bound
        flow_class.mark = route_set.index
        flow_class.since = flow_class.held_since = now_s
        flow_class.count = flow_class.present = 1
        self.alive[flow_class] = None
        if bound == math.inf:
            route_set.unbounded = flow_class
        elif route_set.bounded is None:
            route_set.bounded = {bound: flow_class}
        else:
            route_set.bounded[bound] = flow_class
        return flow_class

    def park(self, flow_class: FlowClass, now_s: float) -> None:
        """Let a class that is on no links wait until the dead one among its links comes back."""
        self.parked[flow_class] = None
        flow_class.holder_link = flow_class.route_set.narrowest_link
        flow_class.mark = flow_class.route_set.index
        flow_class.finish_s = math.inf
        if self._alone_from:  # below a higher priority a link without capacity need not be dead
            for bundle, _ in flow_class.pairs:
                if bundle.capacity == 0.0 and bundle.saturated_since == math.inf:
                    bundle.saturated_since = now_s

    def suspend(self, flow_class: FlowClass, now_s: float) -> list[FlowClass]:
        """Take a class off its links and let it wait; return whom those links hold back."""
        released = leave(flow_class, now_s, alone_from=self._alone_from)
        self.park(flow_class, now_s)
        return released

    def resume(self, flow_class: FlowClass) -> None:
        """Put a class back on its links."""
        del self.parked[flow_class]
        flow_class.present = flow_class.count
        self.enter(flow_class)

    def dismiss(self, flow_class: FlowClass, now_s: float) -> list[FlowClass]:
        """Take a class without flows off its links; return whom those links hold back."""
        del self.alive[flow_class]
        route_set = flow_class.route_set
        if flow_class.bound == math.inf:
            route_set.unbounded = None
        elif route_set.bounded is not None:
            del route_set.bounded[flow_class.bound]
        flow_class.held_s = None
        flow_class.finish_s = flow_class.queued_s = math.inf
        self._idle.append(flow_class)
        return leave(flow_class, now_s, alone_from=self._alone_from)
