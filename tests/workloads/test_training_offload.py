"""What goes to the host: time, links and memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from training_jobs import cluster, job, kernels_s, program, run, workload

from clustersim import catalog
from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.engine.world import World
from clustersim.errors import InputError
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.training.laid_out import LaidOut
from clustersim.workloads.training.program import Await, Compute, Launch
from clustersim.workloads.training.techniques.offload import HOST_UPDATE_RATE, HostUpdate

TOPOLOGY = cluster(nodes=1, node="dgx-a100")
PCIE = 24e9
"""Bytes per second of a lane of sixteen, fourth generation, in the catalogue."""


def alone_s(size_bytes: float) -> float:
    gpu = TOPOLOGY.gpus[0]
    pair = (gpu, hosts_of(TOPOLOGY, [gpu])[gpu])
    return LockstepCommunicator(World(TOPOLOGY), [pair], owner="probe").alone_s("send_recv:0:1", size_bytes)


def recursion(instructions) -> float:
    """Length of a program on one GPU: kernels in a row, transfers in a row on each stream."""
    now, free, done = 0.0, {}, {}
    for item in instructions:
        if isinstance(item, Compute):
            now += item.seconds
        elif isinstance(item, Launch):
            begin = max(now, free.get(item.stream, 0.0), done.get(item.after, 0.0))
            done[item.key] = free[item.stream] = begin + alone_s(item.size_bytes)
        elif isinstance(item, Await):
            now = max(now, done[item.key])
    return now


def alone(**fields):
    return job(**({"gpus": 1, "sequence": 512} | fields))


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize(
    "offload",
    [
        {"optimizer": True},
        {"optimizer": True, "gradients": True},
        {"activation_layers": 7},
        {"optimizer": True, "activation_layers": 23},
    ],
)
def test_an_iteration_is_as_long_as_a_recursion_over_transfers_says(offload, overlap):
    spec = alone(offload=offload, parallelism={"zero": 2}, global_batch=16, overlap={"enabled": overlap})
    training, _ = run(spec, TOPOLOGY)
    metrics = training.outcome().metrics
    assert metrics["iteration_s.mean"] == pytest.approx(recursion(program(training)), rel=1e-9)
    parts = ("compute_s", "exposed_offload_s", "host_s")
    assert metrics["iteration_s.mean"] == pytest.approx(sum(metrics[part] for part in parts), rel=1e-9)


def test_a_host_that_updates_slower_than_it_sends_hides_all_transfers_but_the_last():
    update = HostUpdate(parameters=1e9, rate=4e9, weight_bytes=2.0)
    tiles = sum(isinstance(item, Launch) for item in update.instructions())
    assert tiles == 8
    assert recursion(update.instructions()) == pytest.approx(0.25 + alone_s(2e9 / 8), rel=1e-9)
    assert alone_s(2e9) == pytest.approx(2e9 / PCIE, rel=0.05)


def test_a_fast_host_waits_for_its_link():
    update = HostUpdate(parameters=1e9, rate=1e12, weight_bytes=2.0)
    assert recursion(update.instructions()) == pytest.approx(1e9 / 1e12 / 8 + 8 * alone_s(2e9 / 8), rel=1e-9)


def test_gpus_of_a_node_share_its_processors():
    spec = alone(gpus=8, offload={"optimizer": True}, parallelism={"zero": 2})
    metrics = run(spec, TOPOLOGY)[0].outcome().metrics
    parameters = catalog.model("bert-large").parameters
    assert metrics["host_s"] == pytest.approx(parameters / HOST_UPDATE_RATE, rel=1e-6)


def test_two_gpus_behind_one_switch_get_half_of_its_link_each():
    topology, layers = TOPOLOGY, {"activation_layers": 23}
    one, two = (run(alone(gpus=gpus, offload=layers), topology)[0].outcome().metrics for gpus in (1, 2))
    plain = run(alone(gpus=1), topology)[0].outcome().metrics["iteration_s.mean"]
    slow, slower = (each["iteration_s.mean"] - plain for each in (one, two))
    assert 1.7 < slower / slow < 2.6  # transfers take twice as long, kernels hide as much of them


def test_transfers_that_end_before_the_next_layer_cost_nothing():
    topology = cluster(nodes=1, node="gb200-nvl72")
    spec = alone(model="llama-2-7b", sequence=4096, micro_batch=1, recompute="full", optimizer="sgd")
    moved = spec.model_copy(update={"offload": spec.offload.model_copy(update={"activation_layers": 8})})
    plain_s, moved_s = (
        run(each, topology)[0].outcome().metrics["iteration_s.mean"] for each in (spec, moved)
    )
    assert moved_s == pytest.approx(plain_s, rel=1e-9)


def test_states_leave_the_gpu_and_arrive_on_the_host():
    plain, moved = (
        workload(alone(parallelism={"zero": 2}, offload=offload), TOPOLOGY).job
        for offload in ({}, {"optimizer": True})
    )
    before, after, host = plain.memory[0], moved.memory[0], moved.host_memory[0]
    assert host == {"master_weights": before.master_weights, "optimizer_states": before.optimizer_states}
    assert before.total_bytes - after.total_bytes == pytest.approx(sum(host.values()))
    assert moved.facts()["host_memory.optimizer_states_bytes"] == 8.0 * moved.model.parameters


def test_activations_leave_two_layers_behind():
    plain, moved = (
        workload(alone(offload={"activation_layers": layers}), TOPOLOGY).job for layers in (0, 12)
    )
    layer = sum(block.activation_bytes for block in plain.cost.layers if block.layer == 0)
    assert moved.host_memory[0] == {"activations": pytest.approx(12 * layer)}
    gone = plain.memory[0].total_bytes - moved.memory[0].total_bytes
    assert gone == pytest.approx(10 * layer)


def test_ten_billion_parameters_fit_into_one_v100_with_the_host_alone():
    """DeepSpeed's tutorial trains GPT-2 of 50 layers and width 4096 so, on 32 GB."""
    model = replace(
        catalog.model("gpt3-175b"), name="gpt2-10b", layers=50, hidden=4096, heads=32, kv_heads=32,
        head_dim=128, ffn_hidden=16384, max_sequence=1024,
    )  # fmt: skip
    v100 = catalog.accelerator("v100-sxm3-32gb")
    spec = job(precision="fp16", recompute="full", micro_batch=10, sequence=1024, parallelism={"zero": 2})
    needed = []
    for offload in ({}, {"optimizer": True, "gradients": True}):
        asked = job(**spec.model_dump(exclude_defaults=True) | {"offload": offload, "gpus": 1})
        laid_out = LaidOut.of(asked, model=model, accelerator=v100, gpus=["gpu"])
        needed.append(laid_out.memory[0].total_bytes)
    assert needed[0] > 5 * v100.memory_bytes
    assert needed[1] < v100.memory_bytes


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"offload": {"gradients": True}}, "set 'optimizer' to true"),
        ({"offload": {"optimizer": True, "gradients": True}}, "set 'parallelism.zero' to 2"),
        ({"offload": {"activation_layers": 24}}, "at most 23"),
    ],
)
def test_what_cannot_be_offloaded_is_refused(fields, said):
    with pytest.raises((InputError, ValueError), match=said):
        workload(alone(**fields), TOPOLOGY)


def test_without_offload_a_gpu_says_nothing_to_its_host():
    training = workload(alone(), TOPOLOGY)
    assert not any(isinstance(item, Launch) for item in program(training))
    assert kernels_s(training) > 0
