"""When requests arrive, for services whose load does not depend on their answers."""

from __future__ import annotations

import numpy as np

from clustersim.spec.demand import FixedArrivals, GammaArrivals, PoissonArrivals
from clustersim.workloads.inference.demand.trace_files import RequestSet

__all__ = ["RatedArrivals", "arrival_times", "limited", "scaled"]

RatedArrivals = PoissonArrivals | GammaArrivals | FixedArrivals
_BLOCK = 1024


def arrival_times(
    arrivals: RatedArrivals, *, rng: np.random.Generator, requests: int | None, duration_s: float | None
) -> np.ndarray:
    """Return arrival times in seconds from the service's start, sorted.

    *Equation.* Gaps are independent with mean 1/rate: exponential (`poisson`), gamma with shape
    1/cv² (`gamma`), or constant (`fixed`, the first request at 0).

    Parameters
    ----------
    arrivals
        Kind and rate.
    rng
        Stream of the gaps. Numbers are drawn in blocks, so that a longer run of the same
        stream begins with the same arrivals.
    requests, duration_s
        Stop after so many, and at this time; at least one of them is given.

    Checked by: tests/workloads/test_inference_arrivals.py (mean and variance of the gaps).
    """
    enough = requests if requests is not None else 2**62
    last_s = duration_s if duration_s is not None else np.inf
    if isinstance(arrivals, FixedArrivals):
        return _fixed(arrivals.rate, enough, last_s)
    times = np.empty(0)
    end_s = 0.0
    while len(times) < enough and end_s <= last_s:
        block = end_s + np.cumsum(_gaps(arrivals, rng))
        times = np.concatenate([times, block])
        end_s = float(block[-1])
    return times[: min(enough, int(np.searchsorted(times, last_s, side="right")))]


def _gaps(arrivals: PoissonArrivals | GammaArrivals, rng: np.random.Generator) -> np.ndarray:
    if isinstance(arrivals, PoissonArrivals):
        return rng.exponential(1.0 / arrivals.rate, _BLOCK)
    shape = 1.0 / arrivals.cv**2
    return rng.gamma(shape, 1.0 / (shape * arrivals.rate), _BLOCK)


def _fixed(rate: float, enough: int, last_s: float) -> np.ndarray:
    count = min(enough, int(last_s * rate * (1 + 1e-12)) + 1) if np.isfinite(last_s) else enough
    return np.arange(count) / rate


def scaled(requests: RequestSet, rate_scale: float) -> RequestSet:
    """Return the same requests with gaps divided by `rate_scale`."""
    return requests._replace(arrival_s=requests.arrival_s / rate_scale)


def limited(requests: RequestSet, *, count: int | None, duration_s: float | None) -> RequestSet:
    """Return the first `count` requests, without those that arrive after `duration_s`."""
    kept = len(requests.arrival_s)
    if duration_s is not None:
        kept = int(np.searchsorted(requests.arrival_s, duration_s, side="right"))
    kept = min(kept, count) if count is not None else kept
    return RequestSet(*(column[:kept] for column in requests))
