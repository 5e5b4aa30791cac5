"""The slow, readable twin of the solver: max-min rates by progressive filling, over everything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustersim.engine.fabric.sharing import FULL
from clustersim.engine.fabric.traffic import DEFAULT_TRAFFIC, TrafficClass

__all__ = ["ReferenceClass", "max_min_rates"]


@dataclass(frozen=True)
class ReferenceClass:
    """Equal flows: weight by link index, rate bound, number of flows, and how they rank."""

    weights: Mapping[int, float]
    bound_bytes_per_s: float = math.inf
    count: int = 1
    traffic: TrafficClass = DEFAULT_TRAFFIC


def max_min_rates(capacities: Sequence[float], classes: Sequence[ReferenceClass]) -> list[float]:
    """Return the max-min fair rate x of a flow of each class, bytes/s.

    *Equation.* Priority by priority, on what the ones before leave: all levels y = x / share rise
    together. On link l they may rise to (C_l − Σ_frozen count·w·x) / Σ_rising count·w·share; the
    least of these levels and of the bounds freezes the classes there; the others go on.

    **Checked by:** closed forms in tests/engine/test_fabric_closed_forms.py and test_fabric_traffic.py;
    it is what the fabric's own solver is checked against.
    """
    left, rates = list(capacities), [0.0] * len(classes)
    for priority in sorted({flow_class.traffic.priority for flow_class in classes}):
        band = [number for number, c in enumerate(classes) if c.traffic.priority == priority]
        for number, level in zip(band, _levels(left, [classes[i] for i in band]), strict=True):
            rates[number] = level * classes[number].traffic.weight
            for link, weight in classes[number].weights.items():
                left[link] -= classes[number].count * weight * rates[number]
        left = [
            max(value, 0.0) if value > FULL * c else 0.0 for value, c in zip(left, capacities, strict=True)
        ]
    return rates


def _levels(capacities: Sequence[float], classes: Sequence[ReferenceClass]) -> list[float]:
    levels: list[float | None] = [None] * len(classes)
    while None in levels:
        level, link = _next_level(capacities, classes, levels)
        for number, flow_class in enumerate(classes):
            frozen = link in flow_class.weights or _bound(flow_class) <= level
            if levels[number] is None and frozen:
                levels[number] = level
    return [level for level in levels if level is not None]


def _next_level(
    capacities: Sequence[float], classes: Sequence[ReferenceClass], levels: Sequence[float | None]
) -> tuple[float, int | None]:
    """Return the level at which somebody freezes next, and the link that fills up (None: a bound)."""
    rising_bounds = [_bound(c) for c, level in zip(classes, levels, strict=True) if level is None]
    least, full = min(rising_bounds), None
    for link, capacity in enumerate(capacities):
        rising = 0.0
        for flow_class, level in zip(classes, levels, strict=True):
            consumption = flow_class.count * flow_class.weights.get(link, 0.0) * flow_class.traffic.weight
            if level is None:
                rising += consumption
            else:
                capacity -= consumption * level
        if rising > 0.0 and max(capacity, 0.0) / rising < least:
            least, full = max(capacity, 0.0) / rising, link
    return least, full


def _bound(flow_class: ReferenceClass) -> float:
    return flow_class.bound_bytes_per_s / flow_class.traffic.weight
