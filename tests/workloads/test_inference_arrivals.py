"""Arrivals and lengths: the distributions asked for, and the same numbers for a longer run."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.spec.arrivals import FixedArrivals, GammaArrivals, PoissonArrivals
from clustersim.spec.lengths import LengthsSpec
from clustersim.workloads.inference.demand.lengths import LengthStream, lengths_of
from clustersim.workloads.inference.demand.request_set import RequestSet
from clustersim.workloads.serving.arrivals import arrival_times

POISSON = PoissonArrivals(kind="poisson", rate="4 req/s")
BURSTY = GammaArrivals(kind="gamma", rate="4 req/s", cv=3.0)


def times(arrivals, *, requests=None, duration_s=None, seed=1):
    rng = np.random.default_rng(seed)
    return arrival_times(arrivals, rng=rng, requests=requests, duration_s=duration_s)


@pytest.mark.parametrize(("arrivals", "cv"), [(POISSON, 1.0), (BURSTY, 3.0)])
def test_gaps_have_the_mean_and_the_variation_asked_for(arrivals, cv):
    gaps = np.diff(times(arrivals, requests=200_000), prepend=0.0)
    assert gaps.mean() == pytest.approx(0.25, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)


def test_fixed_arrivals_are_evenly_spaced_from_the_start():
    fixed = FixedArrivals(kind="fixed", rate="4 req/s")
    assert times(fixed, duration_s=1.0).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert times(fixed, requests=3).tolist() == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("arrivals", [POISSON, BURSTY])
def test_a_longer_run_begins_with_the_same_arrivals(arrivals):
    short = times(arrivals, duration_s=100.0)
    longer = times(arrivals, duration_s=2000.0)
    assert 0 < len(short) < len(longer)
    assert short.tolist() == longer[: len(short)].tolist()
    assert longer[len(short)] > 100.0
    assert times(arrivals, requests=50, duration_s=2000.0).tolist() == longer[:50].tolist()


def test_a_trace_is_cut_by_count_and_duration_after_scaling():
    trace = RequestSet(np.array([0.0, 1.0, 2.0, 3.0]), np.arange(1, 5), np.arange(1, 5))
    doubled = trace.scaled(2.0)
    assert doubled.arrival_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert doubled.limited(count=None, duration_s=1.0).prompt.tolist() == [1, 2, 3]
    assert doubled.limited(count=2, duration_s=1.0).prompt.tolist() == [1, 2]


def test_lengths_come_from_a_table_or_are_fixed():
    table = lengths_of(LengthsSpec(table="azure-conversation-2023"))
    prompt, output = LengthStream(table, np.random.default_rng(2)).take(20_000)
    assert prompt.mean() == pytest.approx(1155, rel=0.03)
    assert output.mean() == pytest.approx(211, rel=0.03)
    assert prompt.max() <= table.longest[0]
    fixed = lengths_of(LengthsSpec(prompt=7, output=9))
    assert [column.tolist() for column in LengthStream(fixed, np.random.default_rng(2)).take(2)] == [
        [7, 7],
        [9, 9],
    ]


def test_lengths_taken_one_by_one_are_those_taken_together():
    table = lengths_of(LengthsSpec(table="azure-code-2023"))
    together = LengthStream(table, np.random.default_rng(3)).take(1500)
    stream = LengthStream(table, np.random.default_rng(3))
    single = [stream.take() for _ in range(1500)]
    assert [int(prompt[0]) for prompt, _ in single] == together[0].tolist()
    assert [int(output[0]) for _, output in single] == together[1].tolist()


def test_an_unknown_length_table_names_the_nearest():
    with pytest.raises(InputError, match="azure-conversation-2023") as caught:
        lengths_of(LengthsSpec(table="azure-conversation-2032"))
    assert caught.value.problems[0].path == ("lengths", "table")
