"""Memory capacity: devices that hold, devices that work, and what a tenth more is worth."""

from dataclasses import replace

import pytest

from clustersim.spec.scenario import Scenario
from clustersim.study.radar.memory_axis import memory_axis, memory_variants, shadow_price
from clustersim.study.radar.needs import Need
from clustersim.study.radar.workload import subjects
from clustersim.study.records import RunRecord, simulate

NEED = Need(
    unit="token",
    units_per_s=1.0,
    flops=1.0,
    hbm_bytes=1.0,
    network_bytes=0.0,
    messages=0.0,
    gpus=8.0,
    accelerator="h100",
    compute_utilization=0.05,
    memory_utilization=0.25,
    network_utilization=None,
    memory_fill=0.75,
)
CLUSTER = {"topology": {"kind": "star", "nodes": 1, "node": "dgx-h100"}}


def subject_of(**workload):
    scenario = {"name": "x", "cluster": CLUSTER, "workloads": [{"name": "w", "model": "gpt2"} | workload]}
    return subjects(Scenario.from_dict(scenario))[0]


def chat(**fields):
    usual = {
        "kind": "inference",
        "model": "llama-3.1-8b",
        "arrivals": {"kind": "closed-loop", "clients": 400},
        "lengths": {"prompt": 1000, "output": 1000},
        "scheduler": {"max_batch": 512},
        "requests": 800,
    }
    return subject_of(**(usual | fields))


def priced(subject):
    variants = memory_variants(subject)
    runs = {scenario.content_hash(): scenario for scenario in variants.values()}
    records = {key: simulate(scenario) for key, scenario in runs.items()}
    return shadow_price(subject, {key: records[each.content_hash()] for key, each in variants.items()})


def test_pressure_is_devices_that_are_full_over_devices_that_are_busy():
    axis = memory_axis(NEED)
    assert axis is not None
    assert (axis.devices_for_memory, axis.devices_for_speed) == (6.0, 2.0)
    assert axis.pressure == 3.0
    assert memory_axis(replace(NEED, memory_fill=None)) is None
    assert memory_axis(replace(NEED, compute_utilization=None, memory_utilization=None)) is None


def test_a_cache_that_is_too_small_for_its_clients_is_worth_more_than_one_that_is_not():
    starved = priced(chat())
    assert starved.elasticity is not None
    assert starved.elasticity > 0.02
    idle = priced(chat(arrivals={"kind": "closed-loop", "clients": 4}, requests=40))
    assert idle.elasticity == pytest.approx(0.0, abs=1e-9)


def test_less_memory_makes_a_job_compute_activations_again():
    job = subject_of(kind="training", model="gpt2-xl", gpus=8, micro_batch=4, global_batch=64, steps=2)
    found = priced(job)
    assert found.elasticity is not None
    assert found.elasticity >= 0.0
    assert found.objectives[0.9] <= found.objectives[1.0] <= found.objectives[1.1]


def test_a_plan_that_misses_its_objectives_does_not_count():
    subject = chat(slo={"ttft": "1 s"})
    metrics = {"work.units_per_s": 1.0, "slo_attainment": 1.0}
    records = {
        key: RunRecord(
            "x",
            1,
            metrics={
                "w": metrics | ({"work.units_per_s": 9.0, "slo_attainment": 0.5} if "1.25" in key[1] else {})
            },
        )
        for key in memory_variants(subject)
    }
    found = shadow_price(subject, records)
    assert set(found.plans.values()) == {"as it is"}
    assert set(found.objectives.values()) == {1.0}


def test_where_a_tenth_less_does_not_fit_there_is_no_price():
    subject = chat()
    records = {key: RunRecord("x", 1, error="does not fit") for key in memory_variants(subject)}
    assert shadow_price(subject, records).elasticity is None
