"""Jitter: the slowest rank sets the pace."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.workloads.training.plan import Bucket, IterationPlan, Phase
from clustersim.workloads.training.ranks import lockstep_pace, paces


def phase(seconds: float) -> Phase:
    return Phase("phase", seconds, 0.1 * seconds, {"compute": 0.9 * seconds, "host": 0.1 * seconds})


def plan(micro_steps: int = 1) -> IterationPlan:
    accumulation = phase(3.0 * (micro_steps - 1)) if micro_steps > 1 else None
    buckets = (Bucket(1.0, 0), Bucket(1.0, 1))
    return IterationPlan(micro_steps, accumulation, phase(1.0), (phase(0.5), phase(1.5)), buckets, phase(0.2))


def first(steps: int, *, ranks: int, jitter: float):
    return next(paces(plan(steps), ranks=ranks, jitter=jitter, random=np.random.default_rng(3)))


def test_no_jitter_is_lockstep():
    assert first(2, ranks=8, jitter=0.0) == lockstep_pace(plan(2))


def test_a_little_jitter_is_nearly_lockstep():
    steady, shaken = lockstep_pace(plan()), first(1, ranks=8, jitter=1e-9)
    assert shaken.seconds == pytest.approx(steady.seconds, rel=1e-6)
    assert shaken.waiting_s == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("micro_steps", [1, 3])
def test_a_bucket_is_ready_when_the_slowest_rank_has_it(micro_steps):
    ranks, jitter = 5, 0.3
    sigma = np.sqrt(np.log1p(jitter**2))
    factors = np.random.default_rng(3).lognormal(-(sigma**2) / 2, sigma, size=(micro_steps, 2, ranks))
    ready = []
    for bucket_s in (0.5, 2.0):
        ends = [
            sum(
                1.0 * factors[step, 0, rank] + 2.0 * factors[step, 1, rank] for step in range(micro_steps - 1)
            )
            + 1.0 * factors[-1, 0, rank]
            + bucket_s * factors[-1, 1, rank]
            for rank in range(ranks)
        ]
        ready.append(max(ends))
    pace = first(micro_steps, ranks=ranks, jitter=jitter)
    assert np.cumsum(pace.seconds)[-2:] == pytest.approx(ready, rel=1e-12)


def test_mean_compute_and_waiting_make_up_the_slowest_rank():
    pace = first(3, ranks=16, jitter=0.2)
    assert pace.forward_s + pace.backward_s + pace.waiting_s == pytest.approx(sum(pace.seconds), rel=1e-12)
    assert pace.waiting_s > 0


def test_shares_of_a_jittered_phase_add_up_to_it():
    pace = first(2, ranks=4, jitter=0.5)
    assert [sum(shares.values()) for shares in pace.shares] == pytest.approx(pace.seconds, rel=1e-12)


def test_factors_have_mean_one_and_the_given_variation():
    source = paces(plan(), ranks=1, jitter=0.25, random=np.random.default_rng(0))
    forward_s = np.array([next(source).forward_s for _ in range(20_000)])
    assert forward_s.mean() == pytest.approx(1.0, rel=0.01)
    assert forward_s.std() == pytest.approx(0.25, rel=0.03)


def test_more_ranks_wait_longer():
    def mean_wait(ranks: int) -> float:
        source = paces(plan(), ranks=ranks, jitter=0.1, random=np.random.default_rng(1))
        return float(np.mean([next(source).waiting_s for _ in range(300)]))

    assert mean_wait(2) < mean_wait(16) < mean_wait(128)
