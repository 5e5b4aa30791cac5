"""Rates of flows over time, kept where somebody asked for them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from clustersim.engine.fabric.sharing import BOUND

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["MOST_SPANS", "RateRecorder"]

MOST_SPANS = 2_000_000
"""Spans that are kept, 32 bytes each; what comes later is not recorded (assumed)."""


class _Open(NamedTuple):
    """The span that is running on a route set."""

    since_s: float
    rate: float
    flow: Flow
    held_s: dict[int, float]


class RateRecorder:
    """Writes down, whenever the rate of a route set changes, the span that ends with that.

    A span has one rate, of all flows of the route set together, and one holder: the link that
    held a flow of it back, or `BOUND` for its own rate bound. Where two links did so one after
    the other at the same rate, the one that did so longer is written down.

    Memory is bounded: after `MOST_SPANS` spans nothing more is recorded, and `until_s` says when
    that was.
    """

    def __init__(self, *, most_spans: int = MOST_SPANS) -> None:
        self.until_s = math.inf
        """Until when rates were recorded; infinite while there is room."""
        self._left = most_spans
        self._spans: dict[RouteSet, array[float]] = {}
        self._open: dict[RouteSet, _Open] = {}
        self._alive: dict[RouteSet, list[Flow]] = {}

    def started(self, route_set: RouteSet, flow: Flow) -> None:
        """Note that a flow has begun."""
        self._alive.setdefault(route_set, []).append(flow)

    def changed(self, route_sets: Iterable[RouteSet], now_s: float) -> None:
        """Note that the total rates of these route sets may be other ones from now on."""
        for route_set in dict.fromkeys(route_sets):
            self._close(route_set, now_s)
            alive = [flow for flow in self._alive.get(route_set, ()) if math.isnan(flow.finished_s)]
            self._alive[route_set] = alive
            rate = sum(flow.rate_bytes_per_s for flow in alive)
            if rate > 0.0 and self.until_s == math.inf:
                self._open[route_set] = _Open(now_s, rate, alive[0], _held(alive[0]))

    def spans(self, route_set: RouteSet, now_s: float) -> npt.NDArray[np.float64]:
        """Return the spans of a route set up to now: columns from_s, to_s, rate in bytes/s, holder."""
        running = self._open.get(route_set)
        kept = np.array(self._spans.get(route_set, ()), dtype=float).reshape(-1, 4)
        if running is None or now_s <= running.since_s:
            return kept
        last = (running.since_s, now_s, running.rate, _holder(running))
        return np.concatenate([kept, np.array([last])])

    def history(
        self, route_set: RouteSet, now_s: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return when the rate of a route set changed, and the rate from then on in bytes/s."""
        spans = self.spans(route_set, now_s)
        idle_next = np.append(spans[1:, 0], np.inf) > spans[:, 1]
        times = np.concatenate([spans[:, 0], spans[idle_next, 1]])
        rates = np.concatenate([spans[:, 2], np.zeros(np.count_nonzero(idle_next))])
        order = np.argsort(times, kind="stable")
        return times[order], rates[order]

    def _close(self, route_set: RouteSet, now_s: float) -> None:
        running = self._open.pop(route_set, None)
        if running is None or now_s <= running.since_s:
            return
        spans = self._spans.setdefault(route_set, array("d"))
        holder = _holder(running)
        if spans and spans[-3] == running.since_s and spans[-2:] == array("d", (running.rate, holder)):
            spans[-3] = now_s  # the same as before the change: one span
            return
        spans.extend((running.since_s, now_s, running.rate, holder))
        self._left -= 1
        if self._left == 0:
            self.until_s = now_s
            self._open.clear()


def _held(flow: Flow) -> dict[int, float]:
    return {**flow.held_by(), BOUND: flow.bound_s}


def _holder(running: _Open) -> int:
    """Return what held the flow back longest since the span began."""
    held_s, before = _held(running.flow), running.held_s
    return max(held_s, key=lambda link: held_s[link] - before.get(link, 0.0))
