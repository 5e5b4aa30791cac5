"""The slow, readable twin of the solver: max-min rates by progressive filling, over everything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ReferenceClass", "max_min_rates"]


@dataclass(frozen=True)
class ReferenceClass:
    """Equal flows: weight by link index, rate bound, number of flows."""

    weights: Mapping[int, float]
    bound_bytes_per_s: float = math.inf
    count: int = 1


def max_min_rates(capacities: Sequence[float], classes: Sequence[ReferenceClass]) -> list[float]:
    """Return the max-min fair rate x of a flow of each class, bytes/s.

    *Equation.* All x rise together. On link l they may rise to
    (C_l − Σ_frozen count·w·x) / Σ_rising count·w; the least of these levels and of the
    bounds freezes the classes there; the others go on.

    **Checked by:** closed forms in tests/engine/test_fabric_closed_forms.py; it is what
    the fabric's own solver is checked against.
    """
    rates: list[float | None] = [None] * len(classes)
    while None in rates:
        level, link = _next_level(capacities, classes, rates)
        for number, flow_class in enumerate(classes):
            frozen = link in flow_class.weights or flow_class.bound_bytes_per_s <= level
            if rates[number] is None and frozen:
                rates[number] = level
    return [rate for rate in rates if rate is not None]


def _next_level(
    capacities: Sequence[float], classes: Sequence[ReferenceClass], rates: Sequence[float | None]
) -> tuple[float, int | None]:
    """Return the level at which somebody freezes next, and the link that fills up (None: a bound)."""
    level, full = math.inf, None
    for flow_class, rate in zip(classes, rates, strict=True):
        if rate is None and flow_class.bound_bytes_per_s < level:
            level = flow_class.bound_bytes_per_s
    for link, capacity in enumerate(capacities):
        rising = 0.0
        for flow_class, rate in zip(classes, rates, strict=True):
            consumption = flow_class.count * flow_class.weights.get(link, 0.0)
            if rate is None:
                rising += consumption
            else:
                capacity -= consumption * rate
        if rising > 0.0 and max(capacity, 0.0) / rising < level:
            level, full = max(capacity, 0.0) / rising, link
    return level, full
