"""One flow: a simpy event that fires when its bytes have moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import simpy
from simpy.events import PENDING

from clustersim.engine.fabric.route_set import BOUND

if TYPE_CHECKING:
    from clustersim.engine.fabric.route_set import FlowClass

__all__ = ["Flow"]


class Flow(simpy.Event):
    """Bytes on their way over a route set; yield it to wait until they have moved.

    Made by `Fabric.start`. Its value is None.
    """

    def __init__(self, env: simpy.Environment, flow_class: FlowClass | None, size_bytes: float) -> None:
        self.env = env
        self.callbacks = []
        self._value = PENDING
        self.size_bytes = size_bytes
        """Bytes of x: of each connection, for a macro-flow."""
        self.started_s = float(env.now)
        self.finished_s = math.nan
        """When the last byte moved; NaN before."""
        self._class = flow_class
        self._held_before: dict[int, float] | None = None
        self._held_s: dict[int, float] = {}

    @property
    def rate_bytes_per_s(self) -> float:
        """Present rate x; zero once finished, and until the changes of this instant are solved."""
        return self._class.rate if self._class is not None else 0.0

    @property
    def bound_s(self) -> float:
        """Seconds that it ran at its own rate bound."""
        return self._seconds().get(BOUND, 0.0)

    def held_by(self) -> dict[int, float]:
        """Return the seconds that each link held it back, by link index.

        With `bound_s` they add up to the time from start to finish (or to now).
        """
        return {link: seconds for link, seconds in self._seconds().items() if link != BOUND}

    def begin(self, flow_class: FlowClass, now_s: float) -> None:
        """Remember how long the class had been held back before; the fabric calls it."""
        if flow_class.held_s or flow_class.held_since < now_s:
            flow_class.settle_holder(now_s)
            self._held_before = dict(flow_class.held_s)

    def end(self, flow_class: FlowClass, now_s: float) -> None:
        """Keep what held it back and let go of the class; the fabric calls it."""
        self._held_s = self._difference(flow_class, now_s)
        self.finished_s = float(now_s)
        self._class = None

    def _seconds(self) -> dict[int, float]:
        return self._held_s if self._class is None else self._difference(self._class, self.env.now)

    def _difference(self, flow_class: FlowClass, now_s: float) -> dict[int, float]:
        flow_class.settle_holder(now_s)
        held_s, before = flow_class.held_s, self._held_before
        if before is None:
            return held_s if flow_class.count == 0 else dict(held_s)
        life_s = now_s - self.started_s
        seconds = {link: value - before.get(link, 0.0) for link, value in held_s.items()}
        seconds = {link: value for link, value in seconds.items() if value > 0.0}
        if seconds:
            # Differences of long sums round; the longest share takes what is missing.
            longest = max(seconds, key=seconds.__getitem__)
            seconds[longest] += life_s - sum(seconds.values())
        return seconds
