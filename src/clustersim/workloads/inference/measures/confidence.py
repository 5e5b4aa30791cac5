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
_NORMAL = 1.9600
"""97.5 % quantile of the normal distribution."""


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


def estimates(values: np.ndarray) -> dict[str, Estimate]:
    """Return mean and percentiles of samples in the order of time, with intervals.

    *Equation.* The samples are cut in 20 batches of equal length. Mean: x̄ ± t·s/√20, with s the standard
    deviation of the batches' means and t Student's for 19 degrees of freedom. Percentile p with value
    q: the share of samples at most q is estimated batch by batch in the same way, h = t·s/√20, at least
    that of independent samples, 1.96·√(p(1 − p)/n); the limits are the percentiles p − h and
    p + h of all samples. Percentiles interpolate linearly between sorted samples.

    **Valid when** a batch is long against the time over which queues keep their length, and there is
    no trend: cut the start-up off (`warmup`). With fewer than 100 samples there are no limits; there is no
    upper limit where p + h is beyond all samples.

    **Source:** Law, Simulation Modeling and Analysis, 5th ed., section 9.5.3 (batch means); Heidelberger and
    Lewis, Operations Research 32, 1984 (percentiles of correlated samples by their indicator).
    **Checked by:** tests/workloads/test_inference_confidence.py (coverage on correlated samples).
    """
    if not len(values):
        return {}
    found = {"mean": _mean(values)}
    ordered = np.sort(values)
    for name, level in PERCENTILES.items():
        if len(values) >= least_samples(level):
            found[name] = _percentile(values, ordered, level)
    return found


def _mean(values: np.ndarray) -> Estimate:
    mean = float(values.mean())
    half = _half_width(values)
    return Estimate(mean, mean - half, mean + half)


def _percentile(values: np.ndarray, ordered: np.ndarray, level: float) -> Estimate:
    value = _at(ordered, level)
    independent = _NORMAL * math.sqrt(level * (1.0 - level) / len(values))
    half = max(_half_width((values <= value).astype(float)), independent)
    if math.isnan(half):
        return Estimate(value, math.nan, math.nan)
    low = _at(ordered, level - half) if level - half > 0.0 else math.nan
    high = _at(ordered, level + half) if level + half < 1.0 else math.nan
    return Estimate(value, low, high)


def _half_width(values: np.ndarray) -> float:
    """Half of the interval of a mean; NaN for too few samples."""
    if len(values) < _BATCHES * _LEAST_PER_BATCH:
        return math.nan
    edges = np.linspace(0, len(values), _BATCHES + 1).astype(int)
    means = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    return _STUDENT * float(means.std(ddof=1)) / math.sqrt(_BATCHES)


def _at(ordered: np.ndarray, level: float) -> float:
    """Percentile of sorted samples."""
    place = level * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
