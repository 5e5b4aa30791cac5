"""Slow GPUs and hosts stay slow; chance has mean 1, its own streams, and the spread that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_jobs import cluster, job, run

from clustersim.workloads.ranking.training.pace import Pace

RANKS = 64


def pace(**fields):
    ones = np.ones(RANKS)
    random = np.random.default_rng(1), np.random.default_rng(2)
    return Pace(8, **({"kernel_slowdown": ones, "host_slowdown": ones, "random": random} | fields))


def test_without_chance_every_step_is_as_the_one_before():
    steady = pace()
    seconds = np.arange(1.0, RANKS + 1.0)
    assert steady.steady
    np.testing.assert_array_equal(steady.kernels(seconds, 3, 0), seconds)
    np.testing.assert_array_equal(steady.host(seconds, 3, 7), seconds)


def test_slow_ranks_are_slow_in_every_step_and_only_where_they_are():
    slow = np.ones(RANKS)
    slow[5] = 1.5
    made = pace(kernel_slowdown=slow)
    for step in (0, 1):
        np.testing.assert_array_equal(made.kernels(np.ones(RANKS), 0, step), slow)
        np.testing.assert_array_equal(made.host(np.ones(RANKS), 0, step), np.ones(RANKS))


@pytest.mark.parametrize("jitter", [0.1, 0.5])
def test_jitter_has_mean_one_and_the_coefficient_of_variation_that_was_asked_for(jitter):
    made = pace(host_jitter=jitter)
    drawn = np.array([made.host(np.ones(RANKS), place, step) for step in range(100) for place in range(8)])
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)
    assert drawn.std() == pytest.approx(jitter, rel=0.05)
    np.testing.assert_array_equal(made.kernels(np.ones(RANKS), 0, 99), np.ones(RANKS))


def test_a_step_waits_for_the_host_that_is_slowest_by_chance():
    fields = {"batch": 64, "steps": 12}
    even, _ = run(job(**fields), cluster())
    uneven, _ = run(job(**fields, host={"jitter": 0.3}), cluster())
    metrics = uneven.outcome().metrics
    assert metrics["iteration_s.mean"] > 1.05 * even.outcome().metrics["iteration_s.mean"]
    assert metrics["waiting_s"] > even.outcome().metrics["waiting_s"]
    assert metrics["iteration_s.p99"] > metrics["iteration_s.p50"]


def test_the_same_seed_gives_the_same_steps_and_another_seed_others():
    spec = job(batch=64, host={"jitter": 0.3}, steps=4)
    first, again, other = (run(spec, seed=seed)[0].outcome().metrics for seed in (1, 1, 2))
    assert first == again
    assert first["iteration_s.mean"] != other["iteration_s.mean"]
