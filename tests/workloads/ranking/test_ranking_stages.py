"""Cascades of ranking models: what reaches each stage, and how the stages' times make a query's."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_pools import ranking_scenario

import clustersim as cs
from clustersim.errors import InputError

RETRIEVAL = {"name": "retrieval", "model": "ncf", "keep": 1000, "hand_over": "200 us", "latency_share": 0.3}
EARLY = {"name": "early-rank", "model": "deeprecsys-rm1", "keep": 200, "latency_share": 0.3}
CASCADE = {
    "model": "dcnv2-nvidia-4b",
    "stages": [RETRIEVAL, EARLY],
    "candidates": {"kind": "fixed", "samples": 5000},
    "arrivals": {"kind": "poisson", "rate": "300 qps"},
    "slo": {"latency": "10 ms"},
    "queries": 300,
}


def outcome(**fields):
    return cs.run(ranking_scenario(**fields)).outcome("feed")


@pytest.fixture(scope="module")
def cascade():
    return outcome(**CASCADE)


def visits(found, pool):
    """The visits of one pool, by query."""
    table = found.tables["visits"]
    rows = table["pool"] == pool
    order = np.argsort(table["query"][rows], kind="stable")
    return {name: column[rows][order] for name, column in table.items()}


def test_the_times_of_the_stages_add_up_to_the_latency_of_each_query(cascade):
    stages = [visits(cascade, pool) for pool in ("retrieval", "early-rank", "rank")]
    total_s = sum(stage["finish_s"] - stage["begin_s"] for stage in stages)
    np.testing.assert_allclose(total_s, cascade.tables["queries"]["latency_s"], rtol=1e-12)


def test_a_stage_begins_where_the_one_before_ends_and_sees_what_it_kept(cascade):
    first, second, last = (visits(cascade, pool) for pool in ("retrieval", "early-rank", "rank"))
    np.testing.assert_array_equal(second["begin_s"], first["finish_s"])
    np.testing.assert_array_equal(last["begin_s"], second["finish_s"])
    assert set(first["candidates"]) == {5000}
    assert set(second["candidates"]) == {1000}
    assert set(last["candidates"]) == {200}
    assert (second["submitted_s"] - second["begin_s"] >= 200e-6 - 1e-12).all()


def test_a_query_with_fewer_candidates_than_are_kept_keeps_them_all():
    found = outcome(**CASCADE | {"candidates": {"kind": "fixed", "samples": 150}})
    assert set(visits(found, "rank")["candidates"]) == {150}


def test_a_lone_query_takes_what_each_model_takes_alone_and_the_hand_over():
    lone = {"queries": 1, "embeddings": {"kind": "local", "precision": "fp32"}}
    whole_s = outcome(**CASCADE | lone).metrics["latency_s.mean"]
    alone_s = sum(
        outcome(model=model, candidates={"kind": "fixed", "samples": samples}, **lone).metrics[
            "latency_s.mean"
        ]
        for model, samples in (("ncf", 5000), ("deeprecsys-rm1", 1000), ("dcnv2-nvidia-4b", 200))
    )
    assert whole_s == pytest.approx(alone_s + 200e-6, rel=1e-9)


def test_shares_of_every_query_sum_to_one_over_all_stages(cascade):
    table = cascade.tables["queries"]
    shares = sum(column for name, column in table.items() if name.endswith("_share"))
    np.testing.assert_allclose(shares, 1.0, rtol=1e-9)
    assert sum(cascade.attribution.values()) == pytest.approx(1.0, abs=1e-9)


def test_stages_are_measured_by_name_and_against_their_share_of_the_objective(cascade):
    metrics = cascade.metrics
    for pool in ("retrieval", "early-rank"):
        limit_s = 0.3 * 10e-3
        stage = visits(cascade, pool)
        within = (stage["finish_s"] - stage["begin_s"] <= limit_s).mean()
        assert metrics[f"pool_attainment.{pool}"] == pytest.approx(within)
    parts = [metrics[f"pool_latency_s.{pool}.mean"] for pool in ("retrieval", "early-rank", "rank")]
    assert sum(parts) == pytest.approx(metrics["latency_s.mean"])
    assert cascade.facts["gpus"] == 3.0
    assert cascade.facts["retrieval.model"] == "ncf"


def test_a_stage_that_keeps_more_makes_the_next_one_slower(cascade):
    more = outcome(**CASCADE | {"stages": [RETRIEVAL, EARLY | {"keep": 1000}]})
    name = "pool_latency_s.rank.mean"
    assert more.metrics[name] > cascade.metrics[name]
    assert more.metrics["pool_latency_s.retrieval.mean"] == pytest.approx(
        cascade.metrics["pool_latency_s.retrieval.mean"], rel=1e-3
    )


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([RETRIEVAL, RETRIEVAL], r"stages\[1\].name.*stages\[0\]"),
        ([RETRIEVAL | {"name": "rank"}], r"stages\[0\].name.*last stage"),
        ([RETRIEVAL | {"latency_share": 0.6}, EARLY | {"latency_share": 0.5}], "leaves nothing"),
        ([RETRIEVAL | {"keep": 0}], r"stages\[0\].keep"),
        ([RETRIEVAL | {"model": "ncff"}], r"stages\[0\].model.*ncff"),
    ],
)
def test_stages_that_make_no_sense_are_refused_with_their_place(stages, words):
    with pytest.raises(InputError, match=words):
        outcome(**CASCADE | {"stages": stages})


EXPERIMENT = {
    "model": "dcnv2-nvidia-4b",
    "arrivals": {"kind": "poisson", "rate": "2000 qps"},
    "queries": 4000,
    "routing": "least-outstanding",
}


def test_an_experiment_sends_its_share_to_the_variant_and_finds_that_it_is_faster():
    variant = {"model": "dlrm-nvidia-4b", "embeddings": {"kind": "local", "precision": "fp16"}}
    found = outcome(**EXPERIMENT, experiment={"variant": variant, "share": 0.25})
    metrics = found.metrics
    assert metrics["experiment_share"] == pytest.approx(0.25, abs=0.03)
    assert metrics["experiment_latency_s.mean.high"] < 0.0
    assert metrics["experiment_latency_s.mean.difference"] == pytest.approx(
        metrics["experiment_latency_s.mean.variant"] - metrics["experiment_latency_s.mean.control"]
    )
    pools = found.tables["visits"]["pool"]
    assert set(pools) == {"rank", "variant"}
    assert len(pools) == len(found.tables["queries"]["query"])


def test_an_experiment_of_equal_models_finds_no_difference():
    variant = {"model": "dcnv2-nvidia-4b", "embeddings": {"kind": "local", "precision": "fp16"}}
    engagement = {"control": 0.3, "variant": 0.3}
    experiment = {"variant": variant, "share": 0.5, "salt": "a", "engagement": engagement}
    metrics = outcome(**EXPERIMENT, experiment=experiment).metrics
    for name in ("experiment_latency_s.mean", "experiment_engagement.mean"):
        assert metrics[f"{name}.low"] < 0.0 < metrics[f"{name}.high"]
    assert metrics["experiment_engagement.mean.control"] == pytest.approx(0.3, abs=0.03)


def test_control_and_variant_cost_what_their_gpus_cost_over_their_queries():
    variant = {"model": "dcnv2-nvidia-4b", "embeddings": {"kind": "local", "precision": "fp16"}}
    metrics = outcome(**EXPERIMENT, experiment={"variant": variant, "share": 0.25}).metrics
    control, other = (metrics[f"experiment_usd_per_million_queries.{arm}"] for arm in ("control", "variant"))
    assert other / control == pytest.approx(3.0, rel=0.1)


def test_a_stage_before_an_experiment_serves_both_models():
    variant = {"model": "dlrm-nvidia-4b", "embeddings": {"kind": "local", "precision": "fp16"}}
    found = outcome(**CASCADE | {"experiment": {"variant": variant, "share": 0.5}})
    counts = {pool: len(visits(found, pool)["query"]) for pool in ("early-rank", "rank", "variant")}
    assert counts["early-rank"] == counts["rank"] + counts["variant"] == 300
