"""Lanes on the clock: schedules, bubbles, parts that add up, bytes on links, placement."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import cluster, iteration_s, job, program, run

from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.cost.roofline import KernelTime
from clustersim.engine.world import World
from clustersim.workloads.training.closed_form import never_alone
from clustersim.workloads.training.compile import compile_stage
from clustersim.workloads.training.crew import Crew
from clustersim.workloads.training.network import Network
from clustersim.workloads.training.pace import STEADY
from clustersim.workloads.training.program import Launch, Send
from clustersim.workloads.training.schedules import makespan, orders
from clustersim.workloads.training.workload import TrainingWorkload

PARTS = ("compute_s", "bubble_s", "exposed_communication_s", "host_s", "waiting_s")
EXPOSED = (
    "exposed_tensor_s",
    "exposed_pipeline_s",
    "exposed_context_s",
    "exposed_expert_s",
    "exposed_data_s",
)


def passes_s(schedule: str, *, stages: int, micro_batches: int, chunks: int = 1):
    """Run a pipeline whose messages have no bytes; return passes as the engine and an oracle time them."""
    topology = cluster(nodes=1)
    parallelism = {"pipeline": stages, "schedule": schedule, "virtual_stages": chunks}
    spec = job(
        gpus=stages, parallelism=parallelism, micro_batch=1, global_batch=micro_batches, optimizer="sgd"
    )
    training = TrainingWorkload(spec, topology=topology, gpus=topology.gpus[:stages])
    layer = max(training.job.cost.layers, key=lambda each: each.forward.seconds)
    layer = replace(layer, output_bytes=0.0)
    world = World(topology)
    crew = Crew(world, Network(world, spec, training.job.layout, folded=True, base=None))
    bare = {"chunks": [[layer]] * chunks, "norm": False, "tied_bytes": 0.0, "optimizer": KernelTime.ZERO}
    plans = [replace(plan, **bare) for plan in training.job.stages]
    programs = [compile_stage(plan, alone_of=never_alone) for plan in plans]
    world.env.run(until=world.env.process(crew.iterate(programs, [STEADY] * stages)))
    order = orders(schedule, stages=stages, micro_batches=micro_batches, chunks=chunks)
    weigh = any(item.kind == "weight" for each in order for item in each)
    oracle_s = makespan(
        order,
        forward_s=layer.forward.seconds,
        backward_s=layer.backward_input.seconds if weigh else layer.backward.seconds,
        weight_s=layer.backward_weight.seconds,
    )
    ends = [item.end_s for lane in crew.lanes for item in lane.ledger.passes if item.kind != "optimizer"]
    return crew, layer, max(ends), oracle_s


@pytest.mark.parametrize(
    ("schedule", "stages", "micro_batches", "chunks"),
    [
        ("gpipe", 4, 6, 1),
        ("1f1b", 4, 9, 1),
        ("1f1b", 3, 2, 1),
        ("interleaved", 4, 8, 2),
        ("interleaved", 2, 4, 3),
        ("zero-bubble", 4, 8, 1),
    ],
)
def test_a_schedule_takes_what_list_execution_says(schedule, stages, micro_batches, chunks):
    _, _, engine_s, oracle_s = passes_s(schedule, stages=stages, micro_batches=micro_batches, chunks=chunks)
    assert engine_s == pytest.approx(oracle_s, rel=1e-9)


@pytest.mark.parametrize(("schedule", "chunks"), [("gpipe", 1), ("1f1b", 1), ("interleaved", 2)])
def test_the_bubble_is_that_of_the_closed_form(schedule, chunks):
    # (p - 1)·(forward + backward) of one chunk per stage (Narayanan et al., SC21, section 2.2).
    crew, layer, *_ = passes_s(schedule, stages=4, micro_batches=8, chunks=chunks)
    closed_s = 3 * (layer.forward.seconds + layer.backward.seconds)
    for lane in crew.lanes:
        assert lane.ledger.seconds["bubble_s"] == pytest.approx(closed_s, rel=1e-9)


LAYOUTS = st.sampled_from(
    [
        {"tensor": 2, "pipeline": 2},
        {"tensor": 4, "pipeline": 2, "schedule": "gpipe"},
        {"pipeline": 4, "zero": 1},
        {"pipeline": 2, "virtual_stages": 2},
        {"pipeline": 4, "schedule": "zero-bubble"},
        {"tensor": 2, "context": 2, "zero": 2},
        {"zero": 3, "shard": 4},
        {"tensor": 2, "zero": 3, "pipeline": 2},
        {"context": 4, "context_exchange": "all-gather"},
        {"tensor": 2, "pipeline": 2, "order": ("pipeline", "data", "context", "tensor")},
    ]
)


@settings(max_examples=14, deadline=None)
@given(
    parallelism=LAYOUTS,
    micro_batches=st.sampled_from([2, 3]),
    jitter=st.sampled_from([0.0, 0.1]),
    overlap=st.booleans(),
)
def test_every_second_of_every_lane_has_one_use(parallelism, micro_batches, jitter, overlap):
    pipeline = parallelism.get("pipeline", 1)
    spec = job(
        parallelism=parallelism,
        micro_batch=2,
        global_batch=2 * micro_batches * 8,
        kernel_jitter=jitter,
        steps=1,
        overlap={"enabled": overlap, "pipeline": overlap, "parameters": overlap, "tensor": overlap},
    )
    training, world = run(spec, cluster())
    table = training.outcome().tables["iterations"]
    np.testing.assert_allclose(sum(table[name] for name in PARTS), table["duration_s"], rtol=1e-9)
    np.testing.assert_allclose(
        sum(table[name] for name in EXPOSED), table["exposed_communication_s"], rtol=1e-9
    )
    stages = training.outcome().tables["stages"]
    whole = sum(stages[name] for name in (*PARTS[:2], *PARTS[3:], *EXPOSED))
    np.testing.assert_allclose(whole, np.full(pipeline, table["duration_s"][-1]), rtol=1e-9)
    assert sum(training.outcome().attribution.values()) == pytest.approx(1.0)
    for row in world.trace.rows:
        assert sum(row.shares.values()) == pytest.approx(row.end_s - row.start_s, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    "parallelism",
    [{"pipeline": 4}, {"pipeline": 2, "zero": 1}, {"zero": 3}, {"tensor": 2, "pipeline": 2}],
)
@pytest.mark.parametrize("fold", ["never", "always"])
def test_links_carry_what_all_messages_carry_one_by_one(parallelism, fold):
    topology = cluster()
    training, world = run(job(parallelism=parallelism, steps=2, fold=fold, global_batch=64), topology)
    apart = World(topology)
    _say_one_by_one(training, apart)
    np.testing.assert_allclose(
        world.fabric.usage().bytes, 2 * apart.fabric.usage().bytes, rtol=1e-6, atol=100
    )


def _say_one_by_one(training, world: World) -> None:
    """Run every message of one iteration, but for the norm, in a world without anything else."""
    layout = training.job.layout
    for stage in range(layout.pipeline):
        said = [item[1:] for item in program(training, stage=stage) if isinstance(item, Send)]
        for (other, size_bytes), times in Counter(said).items():
            lanes = range(layout.lanes_per_stage)
            pairs = [pair for lane in lanes for pair in layout.exchange(stage, other, lane)]
            communicator = LockstepCommunicator(world, pairs, owner="probe")
            world.env.run(until=communicator.send(size_bytes, repeat=times))
        said = [item[2:6] for item in program(training, stage=stage) if isinstance(item, Launch)]
        for (dimension, collective, size_bytes, repeat), times in Counter(said).items():
            if dimension == "model" or (dimension == "embedding" and stage):
                continue  # embeddings: once for both ends
            communicator = LockstepCommunicator(world, layout.groups(dimension, stage), owner="probe")
            world.env.run(until=getattr(communicator, collective)(size_bytes, repeat=times * repeat))


def test_tensor_groups_across_nodes_cost_more():
    inside = {"tensor": 4, "data": 2}
    across = inside | {"mapping": (0, 4, 1, 5, 2, 6, 3, 7)}
    topology = cluster()
    often = {"global_batch": 512, "sequence": 512}  # eight micro-batches for one synchronisation
    apart, together = (iteration_s(job(parallelism=each, **often), topology) for each in (across, inside))
    assert apart > 1.5 * together


def test_a_sender_that_waits_is_slower():
    usual = {"parallelism": {"pipeline": 4}, "global_batch": 64}
    topology = cluster(bandwidth="10 Gbit/s")
    beside = iteration_s(job(**usual), topology)
    assert iteration_s(job(**usual, overlap={"pipeline": False}), topology) > beside


def test_the_longer_chain_of_passes_is_in_the_tables():
    training, world = run(job(parallelism={"pipeline": 4}, global_batch=64, steps=1), cluster())
    passes = training.outcome().tables["passes"]
    per_stage = training.job.micro_batches * 2 + 1
    assert len(passes["stage"]) >= 4 * per_stage
    lanes = {row.lane for row in world.trace.rows}
    assert {f"job/stage{stage}/compute" for stage in range(4)} <= lanes
    memory = training.outcome().tables["memory"]
    assert memory["bytes"][memory["stage"] == 0].sum() == pytest.approx(training.job.memory[0].total_bytes)


@settings(max_examples=6, deadline=None)
@given(slow=st.floats(5, 100), factor=st.floats(1, 8))
def test_more_bandwidth_is_never_slower_for_a_pipeline(slow, factor):
    spec = job(parallelism={"pipeline": 4, "zero": 1}, global_batch=64, steps=1)
    slower, faster = (cluster(bandwidth=f"{gbit} Gbit/s") for gbit in (slow, slow * factor))
    assert iteration_s(spec, faster) <= iteration_s(spec, slower) * (1 + 1e-9)
