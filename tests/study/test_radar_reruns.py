"""Shares of the critical path are what reruns with each resource 5 % slower and faster measure."""

from __future__ import annotations

import math

import pytest
from radar_cases import CHAT, CLICKS, DENSE, FEED, record_of, scenario, shares_of, time_of

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH
from clustersim.results.attribution import NETWORK_BANDWIDTH
from clustersim.study.radar.elasticity import RESOURCES, elasticities
from clustersim.study.radar.reruns import measured, rerun_variants

CLOSED = {"kind": "closed-loop"}
SLOW_NETWORK = {"bandwidth": "25 Gbit/s"}
CASES = {
    "data parallel, bound by arithmetic": (scenario(DENSE, parallelism={"zero": 1}), COMPUTE),
    "data parallel, bound by the network": (
        scenario(DENSE, parallelism={"zero": 1}, fabric=SLOW_NETWORK),
        NETWORK_BANDWIDTH,
    ),
    "parameters divided": (scenario(DENSE, parallelism={"zero": 3}), COMPUTE),
    "tensor parallel": (scenario(DENSE, nodes=1, gpus=8, parallelism={"tensor": 8}), COMPUTE),
    "tensor parallel beside products": (
        scenario(DENSE, nodes=1, gpus=8, parallelism={"tensor": 8}, overlap={"tensor": True}),
        COMPUTE,
    ),
    "pipeline": (scenario(DENSE, parallelism={"pipeline": 4, "data": 4}), COMPUTE),
    "experts": (
        scenario(
            DENSE, model="mixtral-8x7b", recompute="full", parallelism={"data": 16, "expert": 8, "zero": 1}
        ),
        COMPUTE,
    ),
    "launches slower than kernels": (
        scenario(
            DENSE,
            nodes=1,
            gpus=8,
            sequence=256,
            parallelism={"tensor": 8},
            host={"kernel_launch": "30 us"},
        ),
        HOST,
    ),
    "prefill": (
        scenario(
            CHAT,
            nodes=1,
            lengths={"prompt": 4096, "output": 1},
            arrivals=CLOSED | {"clients": 2},
            requests=30,
        ),
        COMPUTE,
    ),
    "decode": (scenario(CHAT, nodes=1, lengths={"prompt": 16, "output": 256}), MEMORY_BANDWIDTH),
    "prompts and answers in a queue": (
        scenario(
            CHAT,
            nodes=1,
            arrivals=CLOSED | {"clients": 32},
            lengths={"prompt": 1024, "output": 64},
            scheduler={"max_batch": 8},
        ),
        MEMORY_BANDWIDTH,
    ),
    "prompts that hold up answers": (
        scenario(
            CHAT,
            nodes=1,
            arrivals=CLOSED | {"clients": 32},
            lengths={"prompt": 1024, "output": 128},
            requests=200,
        ),
        MEMORY_BANDWIDTH,
    ),
    "tensor-parallel service": (
        scenario(CHAT, nodes=1, model="llama-2-70b", parallelism={"tensor": 8}),
        MEMORY_BANDWIDTH,
    ),
    "service without graphs": (
        scenario(CHAT, nodes=1, parallelism={"tensor": 8}, techniques={"cuda_graphs": False}),
        HOST,
    ),
    "ranking training": (scenario(CLICKS, batch=8192), COMPUTE),
    "ranking training over a slow network": (
        scenario(CLICKS, batch=8192, fabric={"bandwidth": "25 Gbit/s"}),
        NETWORK_BANDWIDTH,
    ),
    "ranking training that launches hold up": (scenario(CLICKS, batch=256), HOST),
    "ranking inference": (scenario(FEED, nodes=1), HOST),
    "ranking inference by groups of GPUs whose batches wait for each other": (
        scenario(
            FEED,
            nodes=1,
            model="dlrm-dcnv2-mlperf",
            gpus_per_replica=8,
            embeddings={"kind": "local", "precision": "int8"},
            arrivals=CLOSED | {"clients": 16},
            queries=1000,
        ),
        HOST,
    ),
}
TOLERANCE = 0.012
"""Of each share: slopes at 0.95 and 1.05 differ by up to this much from that in the middle."""


@pytest.mark.parametrize("name", CASES)
def test_shares_are_the_elasticities_that_reruns_measure(name):
    wanted, leader = CASES[name]
    base = record_of(wanted)
    shares = elasticities(shares_of(base))
    assert math.fsum(shares.values()) == pytest.approx(1.0, abs=1e-9)
    assert max(shares, key=shares.__getitem__) == leader
    reached = {key: 1.0 / time_of(record_of(each)) for key, each in rerun_variants(wanted).items()}
    found = measured(reached, base=1.0 / time_of(base))
    for resource in RESOURCES:
        assert shares[resource] == pytest.approx(found[resource].elasticity, abs=TOLERANCE), resource
    # Euler: what belongs to no resource would be missing here.
    assert math.fsum(each.elasticity for each in found.values()) == pytest.approx(1.0, abs=0.005)


def test_a_bottleneck_that_changes_within_the_step_is_told():
    reached = {("host", 0.95): 0.95, ("host", 1.05): 1.0}
    found = measured(reached, base=1.0)["host"]
    assert found.switches
    assert (found.below, found.above) == pytest.approx((1.0, 0.0))
    assert 0.4 < found.elasticity < 0.6


def test_what_reached_nothing_has_no_elasticity():
    assert measured({("host", 0.95): 1.0}, base=1.0) == {}
