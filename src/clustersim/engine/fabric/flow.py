"""One flow: a simpy event that fires when its bytes have moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import simpy

from clustersim.engine.fabric.held import seconds_between
from clustersim.engine.fabric.sharing import BOUND

if TYPE_CHECKING:
    from clustersim.engine.fabric.route_set import RouteSet
    from clustersim.engine.fabric.sharing import Sharing

__all__ = ["Flow"]


class Flow(simpy.Event):
    """Bytes on their way over a route set; yield it to wait until they have moved.

    Made by `Fabric.start`. Its value is None.
    """

    finished_s: float = math.nan
    """When the last byte moved; NaN before."""
    sharing: Sharing | None = None
    """Who gives it a rate; None before it has begun and after it has ended."""
    place: Any = None
    """What `sharing` knows it by."""
    held_before: Any = None
    """Where flows of its kind were on their way already: the seconds that these had been held back,
    as `sharing` writes it."""
    _held: dict[int, float] | bytes | int = BOUND
    _ok = True

    def __init__(
        self, env: simpy.Environment, route_set: RouteSet, size_bytes: float, number: int, now_s: float
    ) -> None:
        self.env = env
        self.callbacks = []
        self.route_set = route_set
        self.size_bytes = size_bytes
        """Bytes of x: of each connection, for a macro-flow."""
        self.number = number
        """Flows are numbered as they start; of those that finish at one time the first comes first."""
        self.started_s = now_s

    @property
    def rate_bytes_per_s(self) -> float:
        """Present rate x; zero once finished, and until the changes of this instant are solved."""
        return self.sharing.rate(self) * self.route_set.share if self.sharing is not None else 0.0

    @property
    def bound_s(self) -> float:
        """Seconds that it ran at its own rate bound."""
        return self._seconds().get(BOUND, 0.0)

    def held_by(self) -> dict[int, float]:
        """Return the seconds that each link held it back, by link index.

        With `bound_s` they add up to the time from start to finish (or to now).
        """
        return {link: seconds for link, seconds in self._seconds().items() if link != BOUND}

    def end(self, held: dict[int, float] | bytes | int, now_s: float) -> None:
        """Mark it as done: who shared the links calls it, and the clock makes it fire.

        Parameters
        ----------
        held
            Seconds by what held it back; or the one link (or `BOUND`) that did so all the time; or,
            packed, what held its kind back, from which `held_before` is to be taken off.
        """
        self._held = held
        self.finished_s = now_s
        self._value = None
        self.sharing = self.place = None

    def _seconds(self) -> dict[int, float]:
        if self.sharing is not None:
            return self.sharing.held_s(self, float(self.env.now))
        held, life_s = self._held, self.finished_s - self.started_s
        if isinstance(held, bytes):
            return seconds_between(self.held_before, held, life_s)
        if isinstance(held, int):
            return {held: life_s} if life_s > 0.0 else {}
        return held
