"""When requests arrive, for services whose load does not depend on their answers."""

from __future__ import annotations

import numpy as np

from clustersim.spec.arrivals import (
    FixedArrivals,
    GammaArrivals,
    PoissonArrivals,
    RatedArrivals,
    WeibullArrivals,
)
from clustersim.workloads.serving.gaps import (
    ExponentialGaps,
    GammaGaps,
    Gaps,
    WeibullGaps,
    weibull_shape,
)
from clustersim.workloads.serving.rate_profile import clock_of

__all__ = ["arrival_times"]

_BLOCK = 4096


def arrival_times(
    arrivals: RatedArrivals, *, rng: np.random.Generator, requests: int | None, duration_s: float | None
) -> np.ndarray:
    """Return arrival times in seconds from the service's start, sorted.

    *Equation.* Gaps are independent with mean 1/rate: exponential (`poisson`), gamma with shape
    1/cv² (`gamma`), Weibull of that variation (`weibull`), or constant (`fixed`, the first request
    at 0). With a `profile` f, they are gaps on the clock ∫f.

    Parameters
    ----------
    arrivals
        Kind, rate and profile.
    rng
        Stream of the gaps. They are drawn with mean 1 and then divided by the rate, so that a
        longer run, and one of another rate, begins with the same draws.
    requests, duration_s
        Stop after so many, and at this time; at least one of them is given.

    Checked by: tests/workloads/test_inference_arrivals.py (mean and variance of the gaps).
    """
    clock = clock_of(arrivals.profile)
    enough = requests if requests is not None else 2**62
    last = clock.operational(duration_s) * arrivals.rate if duration_s is not None else np.inf
    if isinstance(arrivals, FixedArrivals):
        places = _evenly(enough, last)
    else:
        places = _renewals(_gaps_of(arrivals), rng, enough, last)
    return clock.times(places / arrivals.rate)


def _gaps_of(arrivals: PoissonArrivals | GammaArrivals | WeibullArrivals) -> Gaps:
    if isinstance(arrivals, PoissonArrivals):
        return ExponentialGaps()
    if isinstance(arrivals, GammaArrivals):
        return GammaGaps(1.0 / arrivals.cv**2)
    return WeibullGaps(weibull_shape(arrivals.cv))


def _renewals(gaps: Gaps, rng: np.random.Generator, enough: int, last: float) -> np.ndarray:
    """Sums of gaps, at most `enough` of them and none beyond `last`."""
    blocks: list[np.ndarray] = []
    drawn, end = 0, 0.0
    while drawn < enough and end <= last:
        block = end + np.cumsum(gaps.draw(rng, _BLOCK))
        blocks.append(block)
        drawn += len(block)
        end = float(block[-1])
    places = np.concatenate(blocks) if blocks else np.empty(0)
    return places[: min(enough, int(np.searchsorted(places, last, side="right")))]


def _evenly(enough: int, last: float) -> np.ndarray:
    count = min(enough, int(last * (1 + 1e-12)) + 1) if np.isfinite(last) else enough
    return np.arange(count, dtype=float)
