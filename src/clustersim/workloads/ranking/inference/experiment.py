"""Who gets the variant of an experiment, and how the two models differ."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from clustersim.spec.ranking.experiment import RankingExperimentSpec

__all__ = ["Arm", "Difference", "Division", "difference", "differences"]

Statistic = Callable[[np.ndarray], float]

_SECTIONS = 20
_STUDENT = 2.0930
"""97.5 % quantile of Student's t with 19 degrees of freedom."""
_LEAST_OF_MEAN, _LEAST_OF_P99 = 5, 500
"""Fewest queries of an arm in a section: below, its percentile is hardly more than its largest value."""
_ENGAGED = "engaged"
_ARM = "arm"


class Division:
    """Divides queries by a hash of their number, so that the same query goes the same way in every run.

    *Equation.* u = mix(number + seed)/2⁶⁴ is uniform on [0, 1); the variant gets those with u < share. mix is
    SplitMix64's finaliser, seed the first 8 bytes of the SHA-256 of the salt. Another salt gives numbers that
    are independent of these; outcomes use one of their own.

    **Source:** Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    **Checked by:** tests/workloads/ranking/test_ranking_experiment.py.
    """

    def __init__(self, spec: RankingExperimentSpec) -> None:
        self._share = spec.share
        self._engagement = spec.engagement
        self._arm_seed = _seed(f"{_ARM} {spec.salt}")
        self._engaged_seed = _seed(f"{_ENGAGED} {spec.salt}")

    def is_variant(self, queries: np.ndarray) -> np.ndarray:
        """Return which queries the variant ranks."""
        drawn: np.ndarray = _uniform(queries, self._arm_seed) < self._share
        return drawn

    def engaged(self, queries: np.ndarray, is_variant: np.ndarray) -> np.ndarray | None:
        """Return which queries end in a click; None where nothing is said about it.

        A query draws one number, whichever model ranks it (common random numbers), and clicks where it is
        below the model's chance: runs of two scenarios differ by the models alone.
        """
        if self._engagement is None:
            return None
        chance = np.where(is_variant, self._engagement.variant, self._engagement.control)
        drawn: np.ndarray = _uniform(queries, self._engaged_seed) < chance
        return drawn


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _uniform(numbers: np.ndarray, seed: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = (numbers.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    uniform: np.ndarray = (z >> np.uint64(11)).astype(float) * 2.0**-53
    return uniform


@dataclass(frozen=True)
class Arm:
    """What one model's queries measured, in the order of their arrival.

    Parameters
    ----------
    arrival_s
        Of each query.
    values
        By name of the metric: a latency, or 1 for a click.
    """

    arrival_s: np.ndarray
    values: Mapping[str, np.ndarray]


class Difference(NamedTuple):
    """Variant less control, and its 95 % confidence interval; NaN where the run is too short for one."""

    value: float
    low: float
    high: float


def difference(control: Arm, variant: Arm, metric: str, statistic: Statistic, *, least: int) -> Difference:
    """Return how a statistic of the two arms differs, and how well the run knows it.

    *Equation* (sectioning). Time is cut in 20 sections with as many queries in each; Δ is the difference over
    all, Δ_k that within section k: Δ ± t₁₉·√(Σ(Δ_k − Δ)²/19)/√20.

    Queries of one section stood in the same queues, which the usual formulas for independent samples (Welch)
    do not know; both arms see the same rush at the same time, which goes out of the difference. Percentiles
    of a section lean to one side; Δ itself is that of all queries.

    Parameters
    ----------
    least
        Fewest queries of an arm in a section; with less the limits are NaN.

    **Valid when** a section is long against the time over which queues keep their length, and there is no
    trend. **Source:** Asmussen and Glynn, Stochastic Simulation, 2007, section III.5a.
    **Checked by:** tests/workloads/ranking/test_ranking_experiment.py (coverage on correlated samples).
    """
    value = _of(variant, metric, statistic) - _of(control, metric, statistic)
    edges = _edges(control, variant)
    found = []
    for start_s, end_s in pairwise(edges.tolist()):
        arms = [_within(arm, metric, start_s, end_s) for arm in (control, variant)]
        if min(map(len, arms)) < least:
            return Difference(value, math.nan, math.nan)
        found.append(statistic(arms[1]) - statistic(arms[0]))
    scatter = math.sqrt(sum((each - value) ** 2 for each in found) / (_SECTIONS - 1))
    half = _STUDENT * scatter / math.sqrt(_SECTIONS)
    return Difference(value, value - half, value + half)


def differences(control: Arm, variant: Arm) -> dict[str, Difference]:
    """Return the differences of all metrics: means, and the 99th percentile of latencies."""
    found: dict[str, Difference] = {}
    for metric in control.values:
        found[f"{metric}.mean"] = difference(control, variant, metric, _mean, least=_LEAST_OF_MEAN)
        if metric.endswith("_s"):
            found[f"{metric}.p99"] = difference(control, variant, metric, _p99, least=_LEAST_OF_P99)
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _p99(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.99)) if len(values) else math.nan


def _of(arm: Arm, metric: str, statistic: Statistic) -> float:
    return statistic(arm.values[metric])


def _edges(control: Arm, variant: Arm) -> np.ndarray:
    """Times between the sections; the last one is open."""
    arrivals = np.sort(np.concatenate((control.arrival_s, variant.arrival_s)))
    if len(arrivals) < _SECTIONS:
        return np.full(_SECTIONS + 1, np.inf)
    edges = arrivals[np.linspace(0, len(arrivals), _SECTIONS + 1)[:-1].astype(int)]
    return np.append(edges, np.inf)


def _within(arm: Arm, metric: str, start_s: float, end_s: float) -> np.ndarray:
    first, last = np.searchsorted(arm.arrival_s, (start_s, end_s))
    values: np.ndarray = arm.values[metric][first:last]
    return values
