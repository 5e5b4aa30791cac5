"""How well a run of this length knows a mean or a percentile.

Latencies of neighbouring requests are alike, because they stood in the same queue: the usual formulas
for independent samples make intervals that are far too narrow. Batch means do not assume independence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

__all__ = ["PERCENTILES", "Estimate", "estimates", "least_samples"]

PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
"""Statistics beside the mean, and their levels."""

_BATCHES = 20
_LEAST_PER_BATCH = 5
_STUDENT = 2.0930
"""97.5 % quantile of Student's t with 19 degrees of freedom."""


class Estimate(NamedTuple):
    """A statistic and its 95 % confidence interval.

    NaN as a limit: the run is too short to give one.
    """

    value: float
    low: float
    high: float


def least_samples(level: float) -> int:
    """Return how many samples a percentile takes: one is expected beyond it. p50 to p99 are given always.

    Below that, p99.9 would be the largest sample or lie between the two largest, and say nothing of
    its own.
    """
    return math.ceil(1.0 / (1.0 - level) - 1e-9) if level > 0.99 else 1


def estimates(values: np.ndarray, percentiles: Mapping[str, float] = PERCENTILES) -> dict[str, Estimate]:
    """Return mean and percentiles of samples in the order of time, with intervals.

    Parameters
    ----------
    percentiles
        Their names and levels.

    *Equation.* The samples are cut in 20 batches of equal length; s is the standard deviation of the
    batches' means over √20, t Student's quantile for 19 degrees of freedom. Mean: x̄ ± t·s. Percentile p
    with value q: of the share of samples at most q, s is found in the same way. p(1 − p)/s², at most n, is
    the number of independent samples that would be worth as much; for that many, Wilson's limits of
    the share p, with t in place of the normal quantile, are the percentiles of all samples that limit q.
    Percentiles interpolate linearly between sorted samples.

    **Valid when** a batch is long against the time over which queues keep their length, and there is
    no trend: cut the start-up off (`warmup`). With fewer than 100 samples there are no limits; there is no
    upper limit where it would lie beyond the second largest sample.

    **Source:** Law, Simulation Modeling and Analysis, 5th ed., section 9.5.3 (batch means); Heidelberger and
    Lewis, Operations Research 32, 1984 (percentiles of correlated samples by their indicator); Wilson,
    Journal of the American Statistical Association 22, 1927.
    **Checked by:** tests/workloads/test_inference_confidence.py (coverage on correlated samples).
    """
    if not len(values):
        return {}
    found = {"mean": _mean(values)}
    ordered = np.sort(values)
    for name, level in percentiles.items():
        if len(values) >= least_samples(level):
            found[name] = _percentile(values, ordered, level)
    return found


def _mean(values: np.ndarray) -> Estimate:
    mean = float(values.mean())
    half = _STUDENT * _standard_error(values)
    return Estimate(mean, mean - half, mean + half)


def _percentile(values: np.ndarray, ordered: np.ndarray, level: float) -> Estimate:
    value = _at(ordered, level)
    error = _standard_error((values <= value).astype(float))
    if math.isnan(error):
        return Estimate(value, math.nan, math.nan)
    independent = level * (1.0 - level)
    low, high = _wilson(level, min(float(len(values)), independent / max(error**2, 1e-300)))
    beyond = high > 1.0 - 1.0 / len(values)
    return Estimate(value, _at(ordered, low), math.nan if beyond else _at(ordered, high))


def _wilson(level: float, samples: float) -> tuple[float, float]:
    """Limits of a share that was found to be `level` in so many independent samples."""
    spread = _STUDENT**2 / samples
    middle = level + 0.5 * spread
    half = math.sqrt(level * (1.0 - level) * spread + 0.25 * spread**2)
    return (middle - half) / (1.0 + spread), (middle + half) / (1.0 + spread)


def _standard_error(values: np.ndarray) -> float:
    """Standard error of a mean; NaN for too few samples."""
    if len(values) < _BATCHES * _LEAST_PER_BATCH:
        return math.nan
    edges = np.linspace(0, len(values), _BATCHES + 1).astype(int)
    means = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    return float(means.std(ddof=1)) / math.sqrt(_BATCHES)


def _at(ordered: np.ndarray, level: float) -> float:
    """Percentile of sorted samples."""
    place = level * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
