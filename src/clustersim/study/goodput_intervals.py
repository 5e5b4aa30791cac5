"""The best time between checkpoints: closed forms, and a sweep in which all meet the same failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clustersim.study.student import mean_interval
from clustersim.workloads.training.reliability import ReliabilityModel, simulate_days
from clustersim.workloads.training.reliability.closed_forms import (
    daly_goodput,
    daly_interval_s,
    young_interval_s,
)

__all__ = ["IntervalPoint", "best_point", "closed_form_goodput", "closed_form_intervals", "sweep_intervals"]

_STEPS_PER_DOUBLING = 4
_DOUBLINGS = 3
"""The sweep goes from an eighth of Daly's interval to eight times it."""


@dataclass(frozen=True)
class IntervalPoint:
    """One interval of the sweep.

    Parameters
    ----------
    steps, interval_s
        Iterations between checkpoints, and the training time that they take.
    goodput
        Mean over the seeds.
    low, high
        Its 95 % interval; None with one seed.
    behind
        How much less it is than that of the best interval, mean over the seeds.
    as_good
        Whether the paired difference to the best is within its 95 % interval of nothing.
    closed_form
        Daly's expectation; None where it does not apply.
    """

    steps: int
    interval_s: float
    goodput: float
    low: float | None
    high: float | None
    behind: float
    as_good: bool
    closed_form: float | None


def sweep_intervals(
    model: ReliabilityModel,
    *,
    days_s: float,
    seeds: Sequence[int],
    progress: Callable[[float, float], None],
) -> tuple[IntervalPoint, ...]:
    """Simulate the job with intervals from an eighth to eight times Daly's, all with the same failures.

    Returns
    -------
    One point per interval, shortest first; none where nothing fails or checkpoints take no time.
    """
    candidates = _candidates(model)
    rows = []
    for done, steps in enumerate(candidates):
        variant = model.every(steps)
        rows.append([simulate_days(variant, days_s=days_s, seed=seed).goodput for seed in seeds])
        progress(0.05 + 0.95 * (done + 1) / len(candidates), (done + 1) * days_s * len(seeds))
    means = [sum(row) / len(row) for row in rows]
    best = rows[means.index(max(means))] if rows else []
    return tuple(_point(model.every(steps), row, best) for steps, row in zip(candidates, rows, strict=True))


def best_point(points: Sequence[IntervalPoint]) -> IntervalPoint | None:
    """Return the point of most goodput; None without a sweep."""
    return max(points, key=lambda point: point.goodput, default=None)


def closed_form_intervals(model: ReliabilityModel) -> dict[str, float]:
    """Return Young's and Daly's optimum in seconds, not rounded to iterations."""
    return {
        "young": young_interval_s(model.stall_s, model.mtbf_s),
        "daly": daly_interval_s(model.stall_s, model.mtbf_s),
    }


def closed_form_goodput(model: ReliabilityModel) -> float | None:
    """Return Daly's expected goodput; None where checkpoints are written beside training."""
    if model.write_s:
        return None
    return daly_goodput(
        model.interval_s, stall_s=model.stall_s, recovery_s=model.recovery_s, mtbf_s=model.mtbf_s
    )


def _candidates(model: ReliabilityModel) -> list[int]:
    """Return numbers of iterations around Daly's optimum, evenly spaced by ratio."""
    daly_s = daly_interval_s(model.stall_s, model.mtbf_s)
    if model.mtbf_s == float("inf") or not model.stall_s:
        return []
    reach = _STEPS_PER_DOUBLING * _DOUBLINGS
    factors = (2.0 ** (n / _STEPS_PER_DOUBLING) for n in range(-reach, reach + 1))
    return sorted({model.steps_near(daly_s * factor) for factor in factors})


def _point(model: ReliabilityModel, values: Sequence[float], best: Sequence[float]) -> IntervalPoint:
    behind = [most - value for most, value in zip(best, values, strict=True)]
    mean, low, high = _interval(values)
    difference, least, _ = _interval(behind)
    return IntervalPoint(
        steps=model.steps,
        interval_s=model.interval_s,
        goodput=mean,
        low=low,
        high=high,
        behind=difference,
        as_good=difference <= 0.0 or (least is not None and least <= 0.0),
        closed_form=closed_form_goodput(model),
    )


def _interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    return mean_interval(values) if len(values) > 1 else (values[0], None, None)
