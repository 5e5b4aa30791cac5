"""Route sets: the links that a flow uses at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from clustersim.engine.fabric.traffic import DEFAULT_TRAFFIC, TrafficClass

if TYPE_CHECKING:
    from clustersim.engine.fabric.bundle import Bundle
    from clustersim.engine.fabric.flow_class import FlowClass

__all__ = ["RouteSet"]

NO_PAIRS: list[tuple[Bundle, float]] = []
"""Stands for bundles that need not be noted; never written to."""


class RouteSet:
    """Links that a flow uses at once, with its consumption of each: w_l · x on link l.

    A flow between two ends has weight 1 on each link of its path. A macro-flow of a
    collective has as weight of a link the number of its connections there, so that x is
    the rate of one connection. Made by `Fabric.route_set`, which returns the same object
    for the same links, weights, owner and traffic class.

    Parameters
    ----------
    index
        Number in the fabric.
    links, weights
        Link indices in ascending order, and the weight of each.
    owner
        Who uses it. Route sets of one owner are no strangers to each other; the empty
        owner is a stranger to everybody.
    traffic
        Its traffic class.
    """

    __slots__ = (
        "_on_shared",
        "bounded",
        "coefficients",
        "index",
        "left_s",
        "links",
        "measured",
        "narrowest",
        "narrowest_link",
        "owner",
        "pairs",
        "place",
        "private",
        "purpose",
        "share",
        "traffic",
        "unbounded",
        "uniform",
        "weights",
    )

    place: int
    """What a compiled sharing that it is registered with knows it by."""

    def __init__(
        self,
        index: int,
        links: tuple[int, ...],
        weights: tuple[float, ...],
        owner: str = "",
        traffic: TrafficClass = DEFAULT_TRAFFIC,
    ) -> None:
        self.index = index
        self.links = links
        self.weights = weights
        self.coefficients = weights
        """Weights times the weight of the traffic class: what the shared variable consumes of each link."""
        self.uniform = self.coefficients.count(1.0) == len(links)
        """Whether it consumes x of each link."""
        self.owner = owner
        self.traffic = traffic
        self.purpose = ""
        """What it is used for, for reports: `all-reduce`, …; empty: transfers."""
        self.share = share = traffic.weight
        if share != 1.0:
            self.coefficients = tuple([weight * share for weight in weights])
            self.uniform = self.coefficients.count(1.0) == len(links)
        self.pairs = NO_PAIRS
        """Its bundles, with its coefficient on each, as far as `Partition.pairs_of` cannot tell."""
        self.private = True
        """Whether no route set of another owner uses any of its links, and all have the capacity
        that they began with: what the owner computed for itself alone holds."""
        self._on_shared: list[Callable[[], None]] | None = None
        self.narrowest = math.inf
        """The least capacity/coefficient of its links, bytes/s: what a lone flow may get at the most."""
        self.narrowest_link = -1
        """The link that has it (the lowest index where several do)."""
        self.measured = -1
        """For which state of the capacities `narrowest` holds."""
        self.left_s = -math.inf
        """When its last flow ended that left its links at once."""
        self.unbounded: FlowClass | None = None
        self.bounded: dict[float, FlowClass] | None = None

    def use_for(self, purpose: str) -> None:
        """Note what it is used for; of several purposes reports name all."""
        known = self.purpose.split(", ") if self.purpose else []
        if purpose not in known:
            self.purpose = ", ".join([*known, purpose])

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
