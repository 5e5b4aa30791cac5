"""Speeds of a cluster: everything f times faster takes an f-th, so that every second has a resource."""

from __future__ import annotations

import numpy as np
import pytest
from radar_cases import CHAT, CLICKS, DENSE, FEED, everything_faster, scenario

from clustersim.spec.scenario import Scenario
from clustersim.study.radar.elasticity import with_speed
from clustersim.study.runner import run

CLOSED = {"kind": "closed-loop"}
CASES = {
    "replicas": scenario(DENSE, parallelism={"zero": 1}),
    "replicas one after the other": scenario(DENSE, parallelism={"zero": 1}, overlap={"enabled": False}),
    "parameters divided": scenario(DENSE, parallelism={"zero": 3}),
    "stages": scenario(DENSE, parallelism={"pipeline": 4, "data": 4}),
    "stages without bubbles": scenario(DENSE, parallelism={"pipeline": 4, "schedule": "zero-bubble"}),
    "tensor and sequence": scenario(DENSE, nodes=1, gpus=8, parallelism={"tensor": 8}),
    "long sequences": scenario(DENSE, parallelism={"context": 4, "zero": 1}, sequence=8192),
    "experts": scenario(
        DENSE, model="mixtral-8x7b", recompute="full", parallelism={"data": 16, "expert": 8, "zero": 1}
    ),
    "blocking launches": scenario(
        DENSE,
        nodes=1,
        gpus=8,
        sequence=128,
        parallelism={"zero": 1},
        host={"kernel_launch": "5 us", "launch": "blocking"},
    ),
    "optimizer on hosts": scenario(DENSE, parallelism={"zero": 2}, offload={"optimizer": True}),
    "late samples": scenario(
        DENSE,
        nodes=1,
        gpus=8,
        parallelism={"zero": 1},
        data_loading={"sample": "10 MiB", "node_bandwidth": "100 MB/s", "decode": "100 ms", "workers": 1},
    ),
    "prompts and answers": scenario(CHAT, nodes=1),
    "replica of eight": scenario(CHAT, nodes=1, model="llama-2-70b", parallelism={"tensor": 8}),
    "stages of a service": scenario(
        CHAT, nodes=1, model="llama-2-70b", parallelism={"tensor": 4, "pipeline": 2}
    ),
    "prompts elsewhere": scenario(
        CHAT, disaggregation={"prefill": {"replicas": 2}, "decode": {"replicas": 2}}
    ),
    "guesses": scenario(
        CHAT,
        nodes=1,
        model="llama-2-70b",
        parallelism={"tensor": 8},
        techniques={"speculation": {"draft": "llama-2-7b", "tokens": 4, "acceptance": 0.7}},
    ),
    "adapters": scenario(CHAT, nodes=1, techniques={"lora": {"adapters": 64, "rank": 16, "resident": 16}}),
    "swapped caches": scenario(
        CHAT,
        nodes=1,
        arrivals=CLOSED | {"clients": 64},
        lengths={"prompt": 1024, "output": 256},
        scheduler={"preemption": "swap"},
    ),
    "a host of one's own": scenario(CHAT, nodes=1, host_overhead="3 ms"),
    "tables over two nodes": scenario(CLICKS, batch=4096),
    "tables and launches": scenario(CLICKS, batch=128),
    "queries": scenario(FEED, nodes=1),
    "queries in batches": scenario(FEED, nodes=1, arrivals=CLOSED | {"clients": 16}),
    "queries of tables over eight GPUs": scenario(
        FEED,
        nodes=1,
        model="dlrm-dcnv2-mlperf",
        gpus_per_replica=8,
        embeddings={"kind": "local", "precision": "int8"},
    ),
}


def durations(wanted: Scenario) -> dict[str, np.ndarray]:
    """Return every column of seconds of every table, and every metric of seconds."""
    outcome = run(wanted).outcomes["w"]
    found = {
        f"{table}.{name}": np.asarray(column)
        for table, columns in outcome.tables.items()
        for name, column in columns.items()
        if _is_seconds(name)
    }
    return found | {name: np.array([value]) for name, value in outcome.metrics.items() if _is_seconds(name)}


def _is_seconds(name: str) -> bool:
    return name.partition(".")[0].endswith("_s") and "per_s" not in name


@pytest.mark.parametrize("name", CASES)
def test_everything_four_times_as_fast_takes_a_quarter_of_the_time(name):
    usual, fast = durations(CASES[name]), durations(everything_faster(CASES[name], 4.0))
    assert usual.keys() == fast.keys()
    assert any(np.nanmax(column, initial=0.0) > 0.0 for column in usual.values())
    for column, values in usual.items():
        np.testing.assert_allclose(4.0 * fast[column], values, rtol=1e-9, atol=1e-12, err_msg=column)


def test_a_rate_of_arrivals_that_grows_with_the_speeds_changes_nothing_but_the_clock():
    open_loop = {"kind": "poisson", "rate": "8 req/s"}
    usual = durations(scenario(CHAT, nodes=1, arrivals=open_loop))
    faster = scenario(CHAT, nodes=1, arrivals=open_loop | {"rate": "16 req/s"})
    fast = durations(everything_faster(faster, 2.0))
    for column, values in usual.items():
        np.testing.assert_allclose(2.0 * fast[column], values, rtol=1e-9, atol=1e-12, err_msg=column)


@pytest.mark.parametrize("resource", ["compute", "memory_bandwidth", "network_bandwidth", "network_latency"])
def test_a_faster_resource_is_never_slower(resource):
    for name in ("replicas", "tensor and sequence", "replica of eight", "tables over two nodes"):
        usual, fast = (
            run(each).outcomes["w"].metrics["work.units_per_s"]
            for each in (CASES[name], with_speed(CASES[name], resource, 2.0))
        )
        assert fast >= usual * (1.0 - 1e-12)


def test_speeds_of_one_change_nothing_at_all():
    usual = run(CASES["tensor and sequence"])
    document = CASES["tensor and sequence"].model_dump(mode="json")
    assert document["cluster"]["speeds"]["compute"] == 1.0
    again = run(with_speed(CASES["tensor and sequence"], "compute", 1.0))
    assert again.outcomes["w"].metrics == usual.outcomes["w"].metrics
