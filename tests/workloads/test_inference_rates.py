"""Rates that change over time, and distributions of gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clustersim.spec.arrivals import FixedArrivals, GammaArrivals, PoissonArrivals, WeibullArrivals
from clustersim.spec.rate_profile import RateProfileSpec
from clustersim.workloads.serving.arrivals import arrival_times
from clustersim.workloads.serving.gaps import ExponentialGaps, GammaGaps, WeibullGaps, weibull_shape
from clustersim.workloads.serving.rate_profile import clock_of

DAY = {"kind": "sinusoidal", "amplitude": 0.8, "period": "1000 s", "peak": "300 s"}
STEPS = {
    "kind": "piecewise",
    "steps": [{"at": "0 s", "factor": 1.0}, {"at": "100 s", "factor": 0.0}, {"at": "150 s", "factor": 3.0}],
}
PROFILES = [DAY, DAY | {"amplitude": 1.0}, STEPS, STEPS | {"period": "200 s"}]


def clock(profile):
    return clock_of(TypeAdapter(RateProfileSpec).validate_python(profile))


def rate(profile, time_s):
    """What the rate is multiplied by, from its definition."""
    if profile["kind"] == "sinusoidal":
        return 1 + profile["amplitude"] * math.cos(2 * math.pi * (time_s - 300) / 1000)
    if "period" in profile:
        time_s %= 200
    return 1.0 if time_s < 100 else 0.0 if time_s < 150 else 3.0


@pytest.mark.parametrize("profile", PROFILES)
def test_the_clock_is_the_integral_of_the_rate(profile):
    grid = np.linspace(0, 450, 45001)
    integral = np.cumsum([rate(profile, time_s) for time_s in (grid[1:] + grid[:-1]) / 2]) * 0.01
    for place in (1000, 9999, 12000, 16000, 30000, 45000):
        assert clock(profile).operational(float(grid[place])) == pytest.approx(integral[place - 1], rel=1e-3)


@pytest.mark.parametrize("profile", PROFILES)
@given(operational_s=st.lists(st.floats(0.0, 5000.0), min_size=1, max_size=20))
def test_the_inverse_of_the_clock_leads_back(profile, operational_s):
    there = clock(profile)
    ordered = np.sort(operational_s)
    times = there.times(ordered)
    assert np.all(np.diff(times) >= 0)
    assert [there.operational(time_s) for time_s in times.tolist()] == pytest.approx(
        ordered.tolist(), abs=1e-6
    )


@pytest.mark.parametrize("profile", [DAY, STEPS | {"period": "200 s"}])
def test_arrivals_come_at_the_rate_of_the_profile(profile):
    spec = GammaArrivals(kind="gamma", rate="20 req/s", cv=1.5, profile=profile)
    times = arrival_times(spec, rng=np.random.default_rng(4), requests=None, duration_s=2000.0)
    edges = np.linspace(0, 2000, 41)
    counts = np.histogram(times, edges)[0]
    there = clock(profile)
    expected = 20 * np.diff([there.operational(edge) for edge in edges.tolist()])
    assert np.all(np.abs(counts - expected) <= 5 * 1.5 * np.sqrt(expected) + 3)
    assert counts.sum() == pytest.approx(expected.sum(), rel=0.02)


def test_nothing_arrives_while_the_factor_is_zero():
    spec = FixedArrivals(kind="fixed", rate="1 req/s", profile=STEPS)
    times = arrival_times(spec, rng=np.random.default_rng(0), requests=None, duration_s=160.0)
    assert not np.any((times > 100) & (times < 150))
    assert np.sum(times >= 150) == 31


def test_a_higher_rate_divides_the_same_gaps():
    slow, fast = (
        arrival_times(
            WeibullArrivals(kind="weibull", rate=f"{rate} req/s", cv=2.5),
            rng=np.random.default_rng(5),
            requests=9000,
            duration_s=None,
        )
        for rate in (1, 8)
    )
    np.testing.assert_allclose(slow / 8, fast, rtol=1e-12)


def test_weibull_gaps_have_the_mean_and_the_variation_asked_for():
    spec = WeibullArrivals(kind="weibull", rate="4 req/s", cv=2.0)
    times = arrival_times(spec, rng=np.random.default_rng(1), requests=400_000, duration_s=None)
    gaps = np.diff(times, prepend=0.0)
    assert gaps.mean() == pytest.approx(0.25, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(2.0, rel=0.03)


@given(cv=st.floats(0.05, 50.0))
def test_the_shape_of_a_weibull_gives_back_its_variation(cv):
    inverse = 1.0 / weibull_shape(cv)
    ratio = math.lgamma(1 + 2 * inverse) - 2 * math.lgamma(1 + inverse)
    assert math.expm1(ratio) == pytest.approx(cv * cv, rel=1e-6)


def test_a_weibull_of_variation_one_is_exponential():
    assert weibull_shape(1.0) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("gaps", [ExponentialGaps(), GammaGaps(0.3), WeibullGaps(0.6)])
def test_a_process_that_began_long_ago_has_its_mean_rate_from_the_start(gaps):
    """Without the first arrival's own distribution, bursty processes begin with too many."""
    rng = np.random.default_rng(6)
    counts = []
    for _ in range(6000):
        times = gaps.first(rng) + np.concatenate([[0.0], np.cumsum(gaps.draw(rng, 60))])
        counts.append(np.searchsorted(times, 3.0))
    assert np.mean(counts) == pytest.approx(3.0, rel=0.06)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (STEPS | {"steps": [{"at": "1 s", "factor": 1.0}]}, "first step is at 0 s"),
        (STEPS | {"steps": [*STEPS["steps"], {"at": "150 s", "factor": 1.0}]}, "in order of time"),
        (STEPS | {"period": "150 s"}, "ends after its last step"),
        (STEPS | {"steps": [{"at": "0 s", "factor": 0.0}]}, "never end"),
        (DAY | {"period": "0 s"}, "longer than nothing"),
        (DAY | {"amplitude": 1.2}, "less than or equal to 1"),
    ],
)
def test_profiles_that_make_no_sense_are_refused(profile, message):
    with pytest.raises(ValidationError, match=message):
        PoissonArrivals(kind="poisson", rate="1 req/s", profile=profile)
