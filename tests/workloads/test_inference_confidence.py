"""Confidence intervals of means and percentiles, and when there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clustersim.workloads.serving.confidence import PERCENTILES, estimates, least_samples


def waits(rng, count, load):
    """Waiting times of successive customers of an M/M/1 queue (Lindley), which are correlated."""
    change = rng.exponential(load, count) - rng.exponential(1.0, count)
    walk = np.cumsum(change)
    return walk - np.minimum.accumulate(np.minimum(walk, 0.0))


def coverage(name, truth, *, load=0.5, count=20_000, runs=200):
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(runs):
        estimate = estimates(waits(rng, count, load))[name]
        inside += estimate.low <= truth <= estimate.high
    return inside / runs


def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says():
    # The mean wait of an M/M/1 queue is ρ/(1 − ρ) service times, here of half a time between arrivals.
    assert coverage("mean", 0.5) == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize(("name", "level"), [("p90", 0.9), ("p99", 0.99)])
def test_the_interval_of_a_percentile_holds_the_truth_as_often_as_it_says(name, level):
    # P(wait > t) = ρ·e^−(μ − λ)t with μ = 2, λ = 1.
    truth = math.log(0.5 / (1 - level))
    assert coverage(name, truth) == pytest.approx(0.95, abs=0.04)


def test_correlated_samples_have_wider_intervals_than_independent_ones():
    samples = waits(np.random.default_rng(2), 20_000, 0.8)
    mixed = np.random.default_rng(3).permutation(samples)
    for name in ("mean", "p90", "p99"):
        own, other = estimates(samples)[name], estimates(mixed)[name]
        assert own.value == pytest.approx(other.value)
        assert own.high - own.low > 2 * (other.high - other.low)


def test_values_are_those_of_numpy():
    samples = np.random.default_rng(1).lognormal(size=4321)
    found = estimates(samples)
    assert found["mean"].value == pytest.approx(samples.mean())
    for name, level in PERCENTILES.items():
        assert found[name].value == pytest.approx(np.percentile(samples, 100 * level))
        assert found[name].low <= found[name].value


def test_p999_takes_a_thousand_samples_and_an_upper_limit_more():
    samples = np.random.default_rng(1).random(8000)
    assert least_samples(0.999) == 1000
    assert "p99.9" not in estimates(samples[:999])
    assert math.isnan(estimates(samples[:1000])["p99.9"].high)
    assert estimates(samples)["p99.9"].high <= 1.0


def test_a_hundred_samples_are_the_least_for_limits_and_none_give_nothing():
    samples = np.arange(100.0)
    assert math.isnan(estimates(samples[:99])["mean"].low)
    assert estimates(samples)["mean"].low < 49.5 < estimates(samples)["mean"].high
    assert estimates(np.empty(0)) == {}
