"""Experiments: who gets the variant, and what a run knows about the difference of two models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.spec.ranking.experiment import RankingExperimentSpec
from clustersim.workloads.ranking.inference.experiment import Arm, Division, differences

QUERIES = np.arange(100_000)


def division(**fields: object) -> Division:
    spec = {"variant": {"model": "deeprecsys-rm1"}, "share": 0.1, **fields}
    return Division(RankingExperimentSpec.model_validate(spec))


@given(share=st.floats(0.01, 0.99), salt=st.text(max_size=8))
def test_the_variant_gets_its_share_of_the_queries(share: float, salt: str) -> None:
    got = division(share=share, salt=salt).is_variant(QUERIES).mean()
    assert abs(got - share) < 5.0 * math.sqrt(share * (1.0 - share) / len(QUERIES))


def test_a_query_goes_the_same_way_in_every_run_and_whatever_is_asked_at_once() -> None:
    whole = division().is_variant(QUERIES)
    alone = [bool(division().is_variant(np.array([query]))[0]) for query in (0, 1, 17, 99_999)]
    assert alone == [bool(whole[query]) for query in (0, 1, 17, 99_999)]


def test_a_larger_share_takes_more_queries_and_gives_none_back() -> None:
    few, many = division(share=0.1).is_variant(QUERIES), division(share=0.3).is_variant(QUERIES)
    assert not (few & ~many).any()
    assert many.sum() > few.sum()


def test_another_salt_divides_independently() -> None:
    first, second = division(salt="a").is_variant(QUERIES), division(salt="b").is_variant(QUERIES)
    assert abs((first & second).mean() - 0.01) < 0.002


def test_outcomes_are_independent_of_the_division_and_common_to_both_models() -> None:
    experiment = division(engagement={"control": 0.20, "variant": 0.20})
    nobody, everybody = np.zeros(len(QUERIES), bool), np.ones(len(QUERIES), bool)
    under_control = experiment.engaged(QUERIES, nobody)
    assert under_control is not None
    under_variant = experiment.engaged(QUERIES, everybody)
    assert under_variant is not None
    assert np.array_equal(under_control, under_variant)
    assert abs(under_control[experiment.is_variant(QUERIES)].mean() - 0.20) < 0.02


def test_a_better_model_loses_no_query_that_the_worse_one_wins() -> None:
    experiment = division(engagement={"control": 0.20, "variant": 0.25})
    nobody, everybody = np.zeros(len(QUERIES), bool), np.ones(len(QUERIES), bool)
    worse, better = experiment.engaged(QUERIES, nobody), experiment.engaged(QUERIES, everybody)
    assert worse is not None
    assert better is not None
    assert not (worse & ~better).any()


def test_without_rates_there_are_no_outcomes() -> None:
    assert division().engaged(QUERIES, np.zeros(len(QUERIES), bool)) is None


def latencies(rng: np.random.Generator, runs: int, count: int, *, effect: float) -> list[tuple[Arm, Arm]]:
    """Both arms in one rush, for each run: a state that decays over 20 queries, and noise of each query."""
    now = rng.standard_normal(runs)
    state = np.empty((runs, count))
    for at, shock in enumerate(rng.standard_normal((count, runs)) * math.sqrt(1.0 - 0.95**2)):
        now = 0.95 * now + shock
        state[:, at] = now
    values = 0.01 * np.exp(0.4 * state + 0.2 * rng.standard_normal((runs, count)))
    is_variant = rng.random((runs, count)) < 0.5
    values[is_variant] += effect
    times = np.arange(count, dtype=float)
    return [
        (Arm(times[~those], {"latency_s": line[~those]}), Arm(times[those], {"latency_s": line[those]}))
        for line, those in zip(values, is_variant, strict=True)
    ]


def test_intervals_of_correlated_latencies_cover_the_true_difference() -> None:
    effect = 0.001
    runs = latencies(np.random.default_rng(6), 120, 24_000, effect=effect)
    covered = {"latency_s.mean": 0, "latency_s.p99": 0}
    for control, variant in runs:
        found = differences(control, variant)
        for name in covered:
            covered[name] += found[name].low <= effect <= found[name].high
    # A shift moves mean and percentile alike. 95 % of 120 are 114; 105 is four deviations below.
    assert 105 <= covered["latency_s.mean"] < 120
    assert 105 <= covered["latency_s.p99"] < 120


def test_the_interval_shrinks_with_the_root_of_the_length() -> None:
    def mean_width(count: int) -> float:
        runs = latencies(np.random.default_rng(count), 30, count, effect=0.0)
        found = [differences(*arms)["latency_s.mean"] for arms in runs]
        return float(np.mean([each.high - each.low for each in found]))

    assert mean_width(2000) / mean_width(8000) == pytest.approx(2.0, rel=0.2)


def test_too_short_a_run_gives_a_difference_without_limits() -> None:
    ((control, variant),) = latencies(np.random.default_rng(2), 1, 1000, effect=0.002)
    found = differences(control, variant)
    assert math.isfinite(found["latency_s.mean"].low)
    assert math.isnan(found["latency_s.p99"].low)
    assert found["latency_s.p99"].value == pytest.approx(
        np.quantile(variant.values["latency_s"], 0.99) - np.quantile(control.values["latency_s"], 0.99)
    )
