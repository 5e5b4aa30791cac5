"""The simulated iteration equals what a few lines of arithmetic say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import buckets, cluster, job, kernels_s, program, run

from clustersim import catalog
from clustersim.collectives import Communicator
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH
from clustersim.engine.world import World
from clustersim.results.attribution import NETWORK_BANDWIDTH, by_class, critical_path
from clustersim.topology import Topology
from clustersim.workloads.training.network import Network
from clustersim.workloads.training.program import Compute, Launch, Program

PARTS = ("compute_s", "bubble_s", "exposed_communication_s", "host_s", "waiting_s")
STAGES = ("forward_s", "backward_s", "optimizer_s", "bubble_s", "exposed_communication_s", "waiting_s")


def reduced_alone_s(topology: Topology, gpus: int, size_bytes: float) -> float:
    communicator = Communicator(World(topology), topology.gpus[:gpus], owner="probe")
    return communicator.alone_s("all_reduce", size_bytes)


def recursion(program: Program, all_reduce_s: dict[float, float], slowdown: float) -> float:
    """Length of an iteration: buckets one after the other, kernels `slowdown` times longer beside them."""
    now = free = 0.0
    *passes, optimizer = program
    for item in passes:
        if isinstance(item, Compute):
            beside_s = max(0.0, free - now)
            hidden_s = min(item.seconds, beside_s / slowdown)
            now += hidden_s * slowdown + item.seconds - hidden_s
        elif isinstance(item, Launch):
            free = max(free, now) + all_reduce_s[item.size_bytes]
    return max(now, free) + optimizer.seconds


def slowdown() -> float:
    return catalog.accelerator("a100-sxm4-40gb").slowdown_beside_collective("scale_out")


@settings(max_examples=12, deadline=None)
@given(
    bucket=st.sampled_from(["1 MiB", "25 MiB", "100 MiB", "10 GiB"]),
    micro_batch=st.integers(1, 24),
    accumulation=st.integers(1, 3),
    overlap=st.booleans(),
)
def test_an_iteration_is_as_long_as_a_recursion_over_buckets_says(bucket, micro_batch, accumulation, overlap):
    topology = cluster()
    spec = job(
        micro_batch=micro_batch,
        global_batch=micro_batch * 8 * accumulation,
        overlap={"gradient_bucket": bucket, "enabled": overlap},
    )
    training, _ = run(spec, topology)
    alone_s = {item.size_bytes: reduced_alone_s(topology, 8, item.size_bytes) for item in buckets(training)}
    durations = training.outcome().tables["iterations"]["duration_s"]
    assert durations == pytest.approx(recursion(program(training), alone_s, slowdown()), rel=1e-9)


def test_without_overlap_an_iteration_is_the_sum_of_compute_and_all_reduces():
    topology = cluster()
    training, _ = run(job(overlap={"enabled": False}), topology)
    alone_s = sum(reduced_alone_s(topology, 8, bucket.size_bytes) for bucket in buckets(training))
    metrics = training.outcome().metrics
    assert metrics["iteration_s.mean"] == pytest.approx(kernels_s(training) + alone_s, rel=1e-9)
    assert metrics["exposed_communication_s"] == pytest.approx(alone_s, rel=1e-9)


def test_one_gpu_runs_at_its_own_pace():
    training, _ = run(job(gpus=1), cluster(nodes=1))
    metrics = training.outcome().metrics
    assert metrics["iteration_s.mean"] == pytest.approx(kernels_s(training), rel=1e-12)
    assert metrics["scaling_efficiency"] == pytest.approx(1.0, rel=1e-12)
    assert "bus_bandwidth_bytes_per_s" not in metrics


@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_the_parts_of_an_iteration_add_up_to_it(jitter):
    training, _ = run(job(kernel_jitter=jitter, steps=5, global_batch=128), cluster())
    table = training.outcome().tables["iterations"]
    for columns in (PARTS, STAGES):
        total = sum(table[column] for column in columns)
        np.testing.assert_allclose(total, table["duration_s"], rtol=1e-9)


def test_iterations_follow_each_other_without_a_gap():
    training, _ = run(job(steps=4, kernel_jitter=0.1), cluster())
    table = training.outcome().tables["iterations"]
    ends = table["start_s"] + table["duration_s"]
    np.testing.assert_allclose(table["start_s"][1:], ends[:-1], rtol=1e-12)


@pytest.mark.parametrize("jitter", [0.0, 0.15])
@pytest.mark.parametrize("micro_batch", [1, 24])
def test_the_critical_path_of_an_iteration_has_no_gap_and_gives_the_attribution(jitter, micro_batch):
    training, world = run(job(kernel_jitter=jitter, micro_batch=micro_batch), cluster())
    outcome = training.outcome()
    table = outcome.tables["iterations"]
    seconds: dict[str, float] = {}
    for start_s, duration_s, row in zip(
        table["start_s"], table["duration_s"], table["trace_row"], strict=True
    ):
        path = critical_path(world.trace.rows, int(row), since_s=float(start_s))
        assert all(segment.kind != "queue" for segment in path)
        assert sum(segment.duration_s for segment in path) == pytest.approx(duration_s, rel=1e-9)
        for segment in path:
            for resource, share in segment.seconds.items():
                seconds[resource] = seconds.get(resource, 0.0) + share
    total = sum(seconds.values())
    assert outcome.attribution == pytest.approx(
        {key: value / total for key, value in seconds.items()}, rel=1e-6
    )


def test_every_activity_splits_its_own_duration():
    _, world = run(job(kernel_jitter=0.1), cluster())
    for row in world.trace.rows:
        assert sum(row.shares.values()) == pytest.approx(row.end_s - row.start_s, rel=1e-9, abs=1e-15)


def test_the_network_share_is_the_elasticity_to_link_bandwidth():
    def iteration_s(gbit: float) -> float:
        training, _ = run(job(micro_batch=2), cluster(bandwidth=f"{gbit} Gbit/s"))
        return training.outcome().metrics["iteration_s.mean"]

    training, _ = run(job(micro_batch=2), cluster(bandwidth="20 Gbit/s"))
    share = by_class(training.outcome().attribution)[NETWORK_BANDWIDTH]
    slope = (iteration_s(20 / 1.05) - iteration_s(20 / 0.95)) / iteration_s(20) / 0.10
    assert share > 0.5
    assert slope == pytest.approx(share, rel=0.02)


@settings(max_examples=8, deadline=None)
@given(slow=st.floats(5, 200), factor=st.floats(1, 8), micro_batch=st.integers(1, 16))
def test_more_bandwidth_is_never_slower(slow, factor, micro_batch):
    def iteration_s(gbit: float) -> float:
        training, _ = run(job(micro_batch=micro_batch, steps=1), cluster(bandwidth=f"{gbit} Gbit/s"))
        return training.outcome().metrics["iteration_s.mean"]

    assert iteration_s(slow * factor) <= iteration_s(slow) * (1 + 1e-9)


def test_accumulation_synchronises_once_per_optimizer_step():
    topology = cluster()
    once, _ = run(job(), topology)
    thrice, _ = run(job(global_batch=3 * 64), topology)
    extra = thrice.outcome().metrics["iteration_s.mean"] - once.outcome().metrics["iteration_s.mean"]
    one_pass = sum(layer.forward.seconds + layer.backward.seconds for layer in once.job.cost.layers)
    assert extra == pytest.approx(2 * one_pass, rel=1e-9)
    assert thrice.outcome().metrics["communication_s"] == pytest.approx(
        once.outcome().metrics["communication_s"], rel=1e-9
    )


def test_bus_bandwidth_is_that_of_nccl_tests():
    topology = cluster()
    training, _ = run(job(overlap={"gradient_bucket": "10 GiB"}), topology)
    (bucket,) = buckets(training)
    seconds = reduced_alone_s(topology, 8, bucket.size_bytes)
    expected = bucket.size_bytes / seconds * 2 * 7 / 8
    assert training.outcome().metrics["bus_bandwidth_bytes_per_s"] == pytest.approx(expected, rel=1e-9)


def test_bus_bandwidth_of_unequal_buckets_is_all_bytes_over_all_time():
    training, _ = run(job(overlap={"gradient_bucket": "1 MiB"}), cluster())
    metrics = training.outcome().metrics
    size_bytes = sum(bucket.size_bytes for bucket in buckets(training))
    assert len({bucket.size_bytes for bucket in buckets(training)}) > 1
    expected = size_bytes * 2 * 7 / 8 / metrics["communication_s"]
    assert metrics["bus_bandwidth_bytes_per_s"] == pytest.approx(expected, rel=1e-9)


def test_without_a_network_only_the_gpu_is_on_the_path():
    training, _ = run(job(gpus=1), cluster(nodes=1))
    assert set(training.outcome().attribution) <= {COMPUTE, MEMORY_BANDWIDTH, HOST}


@pytest.mark.parametrize("overlap", [{}, {"tensor": True}])
@pytest.mark.parametrize(
    "parallelism",
    [{"tensor": 4}, {"tensor": 4, "sequence": False}, {"tensor": 2, "context": 2}, {"context": 4}],
)
def test_closed_forms_within_passes_are_what_the_fabric_says(parallelism, overlap, monkeypatch):
    topology = cluster()
    overlap = overlap | {"enabled": False}  # no gradients beside the passes
    spec = job(parallelism=parallelism, global_batch=32, sequence=512, steps=1, overlap=overlap)
    closed, _ = run(spec, topology)
    monkeypatch.setattr(Network, "closed_forms", False)
    fabric, _ = run(spec, topology)
    found, expected = (
        {name: value for name, value in each.outcome().metrics.items() if name != "communication_s"}
        for each in (closed, fabric)
    )
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
