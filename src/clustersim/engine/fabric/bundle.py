"""Bundles: links that the max-min solver need not tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clustersim.engine.fabric.sharing import FULL

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow_class import FlowClass
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["Bundle"]

_NEARLY = 1.0 - FULL
NOBODY: dict[FlowClass, None] = {}
"""Stands for nobody being held back; never written to. Bundles are many, so they are kept small."""
NO_ROUTE_SETS: dict[RouteSet, float] = {}
"""Stands for route sets that nobody needs to know of any more; never written to."""


class Bundle:
    """Links with one constraint: the sum over route sets of coefficient · rate stays within `capacity`.

    *Equation.* Every member link l has a scale s_l; a route set that consumes w_l·x on l has
    the coefficient v = w_l / s_l, the same for all members, so that
    Σ v·x ≤ min_l C_l / s_l =: `capacity`.

    It is *contended* while two classes or more have flows on it. `load`, `level`, `held` and the
    saturated span are kept only then: a class that is alone needs nothing but the capacity.
    """

    __slots__ = (
        "active",
        "capacity",
        "first_saturated_s",
        "full",
        "held",
        "index",
        "inside",
        "key",
        "last_saturated_s",
        "level",
        "load",
        "merged",
        "nearly_full",
        "need",
        "new_level",
        "owner",
        "rising",
        "route_sets",
        "saturated_s",
        "saturated_since",
        "shared",
        "stamp",
        "tightest",
        "width",
    )

    # Scratch of the solver, valid while `stamp` is that of the solve.
    rising: int
    """How many classes of F on it have no rate yet."""
    inside: int
    """How many classes of F it held back before."""
    need: float
    """What those that have no rate yet consume per unit of x; they are not in `load`."""
    key: float
    """The level under which it waits to fill up; infinite where it does not."""
    new_level: float

    def __init__(
        self, index: int, owner: str, merged: dict[int, float] | None, capacity: float, tightest: int
    ) -> None:
        self.index = index
        self.merged = merged
        """Link index to its scale; None: the link `tightest` alone, of scale 1."""
        self.owner = owner
        self.shared = False
        """Whether route sets of different owners use it."""
        self.route_sets = NO_ROUTE_SETS
        self.capacity = capacity
        self.nearly_full = capacity * _NEARLY
        self.tightest = tightest
        """The member link that fills up first (the lowest index where several do)."""
        self.active: dict[FlowClass, float] = {}
        """Classes with flows on it, to their coefficients."""
        self.held = NOBODY
        """Classes that it holds back: all run at `level`."""
        self.level = math.inf
        """Rate of the classes it holds back; infinite where it holds none back."""
        self.load = 0.0
        self.width = 0.0
        """What all classes on it consume per unit of x."""
        self.full = False
        """Whether it is saturated, or holds somebody back, or its capacity changed."""
        self.saturated_since = math.inf
        self.saturated_s = 0.0
        self.first_saturated_s = math.inf
        self.last_saturated_s = -math.inf
        self.stamp = 0

    @property
    def members(self) -> dict[int, float]:
        """Link index to its scale."""
        return self.merged if self.merged is not None else {self.tightest: 1.0}

    @property
    def single(self) -> bool:
        """Whether it is one link."""
        return self.merged is None or len(self.merged) == 1

    def scale(self, link: int) -> float:
        """Return the scale of a member link."""
        return 1.0 if self.merged is None else self.merged[link]

    def hold(self, flow_class: FlowClass) -> None:
        """Note that it holds a class back."""
        if self.held is NOBODY:
            self.held = {}
        self.held[flow_class] = None

    def add_up(self) -> None:
        """Compute load and width afresh from the rates of the classes."""
        load = width = 0.0
        for flow_class, coefficient in self.active.items():
            load += coefficient * flow_class.total
            width += coefficient * flow_class.count
        self.load, self.width = load, width

    def watch(self, now_s: float) -> None:
        """Start or end a saturated span, if the load says so."""
        saturated = self.load >= self.nearly_full
        self.full = saturated or bool(self.held)
        if not saturated:
            if self.saturated_since != math.inf:
                self.close(now_s)
        elif self.saturated_since == math.inf:
            self.saturated_since = now_s

    def close(self, now_s: float) -> None:
        """End the saturated span that is running, if one is."""
        if now_s > self.saturated_since:
            self.saturated_s += now_s - self.saturated_since
            self.first_saturated_s = min(self.first_saturated_s, self.saturated_since)
            self.last_saturated_s = now_s
        self.saturated_since = math.inf
