"""One load of one configuration: what every seed measured there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["LoadPoint", "point_of"]


@dataclass(frozen=True)
class LoadPoint:
    """What a service measured at a load, mean over seeds.

    Parameters
    ----------
    factor
        Of the scenario's load.
    attainment
        Share of requests that kept all objectives.
    overloaded
        Whether the queue grew without bound with some seed.
    kept
        Whether the share is high enough and nothing is overloaded.
    metrics
        Of the service, those that every seed has.
    """

    factor: float
    attainment: float
    overloaded: bool
    kept: bool
    metrics: Mapping[str, float]


def point_of(factor: float, runs: Sequence[Mapping[str, float]], *, attainment: float) -> LoadPoint:
    """Sum up the metrics of a service over seeds.

    A run whose attainment is not known, because no request was counted, counts as missed.
    """
    names = set.intersection(*(set(run) for run in runs))
    metrics = {name: sum(run[name] for run in runs) / len(runs) for name in sorted(names)}
    reached = metrics.get("slo_attainment", 0.0)
    overloaded = any(run.get("overloaded", 0.0) > 0.0 for run in runs)
    return LoadPoint(factor, reached, overloaded, reached >= attainment and not overloaded, metrics)
