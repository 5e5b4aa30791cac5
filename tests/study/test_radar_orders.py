"""The orders that are known of these workloads hold in the radar of the shipped scenarios."""

from __future__ import annotations

import math

import pytest

import clustersim as cs
from clustersim.study.radar.result import AXES
from clustersim.study.radar.workload import SHIPPED, shipped_scenarios

LLM = ("LLM training", "LLM prefill", "LLM decode")
RANKING = ("ranking training", "ranking inference")


@pytest.fixture(scope="module")
def radar():
    return cs.radar(check=False, what_if=False, memory=False)


def shares(radar, resource):
    return {profile.label: profile.elasticities[resource] for profile in radar.profiles}


def first(values):
    return max(values, key=values.get)


def leader(profile):
    return first(profile.elasticities)


def test_all_five_run_and_their_shares_sum_to_one(radar):
    assert [profile.label for profile in radar.profiles] == list(SHIPPED)
    assert not radar.failed
    for profile in radar.profiles:
        assert math.fsum(profile.elasticities.values()) == pytest.approx(1.0, abs=1e-9)
        assert all(0.0 <= profile.radius(axis) <= 1.0 for axis in AXES)


def test_all_five_run_on_the_same_cluster():
    clusters = {scenario.cluster.model_dump_json() for scenario in shipped_scenarios().values()}
    assert len(clusters) == 1


def test_all_five_use_all_the_gpus(radar):
    assert {profile.need.gpus for profile in radar.profiles} == {64.0}


def test_training_an_llm_leads_on_compute(radar):
    assert first(shares(radar, "compute")) == "LLM training"
    assert first({each.label: each.need.flops for each in radar.profiles}) == "LLM training"


def test_training_an_llm_leads_its_kin_on_network_bandwidth_and_sends_most_per_unit(radar):
    network = shares(radar, "network_bandwidth")
    assert first({label: network[label] for label in LLM}) == "LLM training"
    assert first({each.label: each.need.network_bytes for each in radar.profiles}) == "LLM training"


def test_prefill_is_bound_by_compute(radar):
    assert leader(radar["LLM prefill"]) == "compute"


def test_decode_is_bound_by_memory_bandwidth_and_leads_its_kin_on_latency(radar):
    assert leader(radar["LLM decode"]) == "memory_bandwidth"
    latency = shares(radar, "network_latency")
    assert first({label: latency[label] for label in LLM}) == "LLM decode"


def test_training_a_ranking_model_leads_on_network_bandwidth(radar):
    assert first(shares(radar, "network_bandwidth")) == "ranking training"


def test_ranking_leads_on_memory_capacity_per_flop(radar):
    per_flop = {profile.label: profile.need.memory_per_flop for profile in radar.profiles}
    assert min(per_flop[label] for label in RANKING) > max(per_flop[label] for label in LLM)


def test_objectives_of_the_services_are_kept_and_a_little_more_load_misses_them():
    for label in ("LLM prefill", "LLM decode"):
        scenario = shipped_scenarios()[label]
        name = scenario.workloads[0].name
        clients = scenario.workloads[0].arrivals.clients
        more = {f"workloads.{name}.arrivals.clients": clients * 5 // 4}
        kept = cs.run(scenario.with_(**{"run.trace": False})).metrics()[name]
        missed = cs.run(scenario.with_(**more, **{"run.trace": False})).metrics()[name]
        assert kept["slo_attainment"] >= 0.99
        assert missed["slo_attainment"] < 0.99
