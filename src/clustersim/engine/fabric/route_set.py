"""Route sets and the classes of equal flows on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.meters import LinkMeters

__all__ = ["FlowClass", "RouteSet"]

BOUND = -1
"""Stands for "its own rate bound" where otherwise the index of the holding link stands."""


class RouteSet:
    """Links that a flow uses at once, with its consumption of each: w_l · x on link l.

    A flow between two ends has weight 1 on each link of its path. A macro-flow of a
    collective has as weight of a link the number of its connections there, so that x is
    the rate of one connection. Made by `Fabric.route_set`, which returns the same object
    for the same links, weights and owner.

    Parameters
    ----------
    index
        Number in the fabric.
    links, weights
        Link indices in ascending order, and the weight of each.
    owner
        Who uses it. Route sets of one owner are no strangers to each other; the empty
        owner is a stranger to everybody.
    """

    __slots__ = (
        "_on_shared",
        "bounded",
        "index",
        "links",
        "owner",
        "pairs",
        "private",
        "unbounded",
        "weights",
    )

    def __init__(self, index: int, links: tuple[int, ...], weights: tuple[float, ...], owner: str) -> None:
        self.index = index
        self.links = links
        self.weights = weights
        self.owner = owner
        self.private = True
        """Whether no route set of another owner uses any of its links, and all have the capacity
        that they began with: what the owner computed for itself alone holds."""
        self._on_shared: list[Callable[[], None]] | None = None
        self.pairs: list[tuple[Bundle, float]] = []
        """Its bundles, with its coefficient on each."""
        self.unbounded: FlowClass | None = None
        self.bounded: dict[float, FlowClass] | None = None

    @property
    def on_shared(self) -> list[Callable[[], None]]:
        """Append to it what shall be called, once, when `private` becomes false."""
        if self._on_shared is None:
            self._on_shared = []
        return self._on_shared

    def lose_privacy(self) -> None:
        """Note that a stranger uses one of the links, or that one changed; tell who asked."""
        if self.private:
            self.private = False
            callbacks, self._on_shared = self._on_shared, None
            for callback in callbacks or ():
                callback()

    def __repr__(self) -> str:
        return f"<RouteSet {self.index} on {len(self.links)} links, owner {self.owner!r}>"


class FlowClass:
    """The flows of one route set with one rate bound: they all run at the same rate.

    *Equation.* The cumulative service V(t) = ∫ x dt is common to all. A flow that starts
    when the service is V₀ is done when V = V₀ + size, so the flows wait in a heap by that
    target, and a change of rate costs O(1) however many they are.
    """

    __slots__ = (
        "bound",
        "cap",
        "cap_holder",
        "count",
        "dirty",
        "finish_s",
        "frozen",
        "heap",
        "held_s",
        "held_since",
        "holder",
        "holder_link",
        "index",
        "new_holder",
        "new_rate",
        "pairs",
        "rate",
        "route_set",
        "served",
        "since",
        "stamp",
        "total",
    )

    def __init__(self, index: int, route_set: RouteSet, bound: float) -> None:
        self.index = index
        self.route_set = route_set
        self.pairs = route_set.pairs
        self.bound = bound
        self.count = 0
        """Flows alive."""
        self.rate = 0.0
        """x of each flow, bytes/s."""
        self.total = 0.0
        """count · rate as the links' loads have it."""
        self.served = 0.0
        """V at the time `since`."""
        self.since = 0.0
        self.heap: list[tuple[float, int, Flow]] = []
        self.finish_s = math.inf
        """Time of the next completion at the present rate."""
        self.dirty = False
        """Flows came or went since the last solve."""
        self.holder: Bundle | None = None
        """What holds the rate back; None: the bound."""
        self.holder_link = BOUND
        self.held_since = 0.0
        self.held_s: dict[int, float] = {}
        """Seconds by holding link, of the present busy period."""
        # Scratch of the solver.
        self.stamp = 0
        self.frozen = 0
        self.cap = bound
        self.cap_holder: Bundle | None = None
        self.new_rate = 0.0
        self.new_holder: Bundle | None = None

    def settle(self, now_s: float, meters: LinkMeters) -> None:
        """Bring the service up to now and book it on the meters."""
        elapsed = now_s - self.since
        if elapsed > 0.0:
            service = self.rate * elapsed
            if service > 0.0:
                self.served += service
                meters.log += (self.route_set.index, self.since, now_s, self.count * service)
            self.since = now_s

    def settle_holder(self, now_s: float) -> None:
        """Bring the seconds that the present holder held back up to now."""
        elapsed = now_s - self.held_since
        if elapsed > 0.0:
            link = self.holder_link
            self.held_s[link] = self.held_s.get(link, 0.0) + elapsed
            self.held_since = now_s
