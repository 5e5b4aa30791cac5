"""Classes of equal flows, as the interpreted solver keeps them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clustersim.engine.fabric.sharing import BOUND

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["FlowClass"]


class FlowClass:
    """The flows of one route set with one rate bound: they all run at the same rate.

    *Equation.* The cumulative service V(t) = ∫ x dt is common to all. A flow that starts
    when the service is V₀ is done when V = V₀ + size, so the flows wait in a heap by that
    target, and a change of rate costs O(1) however many they are.

    It lives as long as it has flows. The object is used again for another one afterwards: `index`,
    `route_set`, `pairs`, `bound`, `mark` and the times are set then, all else is as at the beginning.
    """

    __slots__ = (
        "bound",
        "cap",
        "contended",
        "count",
        "dirty",
        "finish_s",
        "heap",
        "held_s",
        "held_since",
        "holder",
        "holder_link",
        "index",
        "mark",
        "new_holder",
        "new_rate",
        "pairs",
        "present",
        "queued_s",
        "rate",
        "rising",
        "route_set",
        "served",
        "since",
        "stamp",
        "stop",
        "total",
    )

    index: int
    """Number among the classes that ever were; ties are broken by it."""
    route_set: RouteSet
    pairs: list[tuple[Bundle, float]]
    """The bundles of the route set, with its coefficient on each."""
    bound: float
    mark: int
    """What names it in the log: the route set's index i, or -1 - i while it fills its narrowest links."""
    cap: float
    """The most that a flow may get: the bound, or what the narrowest link has for each."""
    since: float
    """Up to when the log is written."""
    held_since: float

    # Scratch of the solver, valid while `stamp` is that of the solve.
    stop: float
    """How far it may rise at the most before the sweep looks at it: its cap, or where a bundle that is
    not tracked could fill up."""
    new_rate: float
    new_holder: Bundle | None

    def __init__(self) -> None:
        self.contended: list[tuple[Bundle, float]] = []
        """Those of its bundles that others use too."""
        self.count = 0
        """Flows alive."""
        self.present = 0
        """How many of them its bundles know of."""
        self.rate = 0.0
        """x of each flow, bytes/s."""
        self.total = 0.0
        """count · rate as the links' loads have it."""
        self.served = 0.0
        """V at the time `since`."""
        self.heap: list[tuple[float, int, Flow]] = []
        self.finish_s = math.inf
        """Time of the next completion at the present rate."""
        self.queued_s = math.inf
        """The earliest time under which it waits in the queue of completions: not after `finish_s`."""
        self.dirty = False
        """Flows came or went since the last solve."""
        self.holder: Bundle | None = None
        """The contended bundle that holds the rate back; None: `cap` does."""
        self.holder_link = BOUND
        self.held_s: dict[int, float] | None = None
        """Seconds by holding link, since it began; None while it had only the present one."""
        self.stamp = 0
        self.rising = False
        """Whether it is in F and has no new rate yet."""

    def settle(self, now_s: float, log: list[float]) -> None:
        """Bring the service up to now and book it in the log."""
        elapsed = now_s - self.since
        if elapsed > 0.0:
            service = self.rate * elapsed
            if service > 0.0:
                self.served += service
                log += (self.mark, self.since, now_s, self.count * service)
            self.since = now_s

    def settle_holder(self, now_s: float) -> dict[int, float]:
        """Bring the seconds that the present holder held back up to now, and return all of them."""
        held_s = self.held_s
        if held_s is None:
            held_s = self.held_s = {}
        elapsed = now_s - self.held_since
        if elapsed > 0.0:
            link = self.holder_link
            held_s[link] = held_s.get(link, 0.0) + elapsed
            self.held_since = now_s
        return held_s

    def held_of(self, flow: Flow, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link of one of its flows."""
        before = flow.held_before
        if before is None:
            if self.held_s is None:
                return {self.holder_link: now_s - self.held_since} if now_s > self.held_since else {}
            return dict(self.settle_holder(now_s))
        life_s = now_s - flow.started_s
        held_s = self.settle_holder(now_s)
        seconds = {link: value - before.get(link, 0.0) for link, value in held_s.items()}
        seconds = {link: value for link, value in seconds.items() if value > 0.0}
        if seconds:
            # Differences of long sums round; the longest share takes what is missing.
            longest = max(seconds, key=seconds.__getitem__)
            seconds[longest] += life_s - sum(seconds.values())
        return seconds
