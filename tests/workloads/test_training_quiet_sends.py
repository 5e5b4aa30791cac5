"""Sends that pass by the clock alone take what they take on the fabric, and leave the same behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import cluster, job, workload

from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.engine.world import World
from clustersim.topology import Topology
from clustersim.workloads.training.network import Network
from clustersim.workloads.training.quiet_sends import QuietSends

Send = tuple[float, int, int, float]
"""Start, source, target, bytes."""


def ends(topology: Topology, sends: list[Send], *, closed_form: bool, other_s: float | None = None):
    """Run sends between GPUs, and beside them an all-reduce from `other_s` on; return ends, bytes, flows."""
    world = World(topology)
    quiet = QuietSends(world, closed_form=closed_form)
    gpus, found = topology.gpus, {}
    pairs = {
        pair: LockstepCommunicator(world, [(gpus[pair[0]], gpus[pair[1]])], owner="a")
        for pair in {(source, target) for _, source, target, _ in sends}
    }
    everybody = LockstepCommunicator(world, [gpus], owner="a")

    def send(number: int, start_s: float, source: int, target: int, size_bytes: float):
        yield world.env.timeout(start_s)
        record = yield quiet.send(pairs[source, target], size_bytes, cause=-1, label="")
        found[number] = record.start_s, record.end_s, sum(record.shares.values())

    def collective(start_s: float):
        yield world.env.timeout(start_s)
        yield quiet.over_fabric(lambda: everybody.all_reduce(3e6))

    for number, each in enumerate(sends):
        world.env.process(send(number, *each))
    if other_s is not None:
        world.env.process(collective(other_s))
    world.env.run()
    return [found[number] for number in range(len(sends))], world.fabric.usage().bytes, world.fabric.solves


_SEND = st.tuples(st.floats(0, 3e-3), st.integers(0, 3), st.integers(4, 7), st.floats(1e3, 5e7))


@settings(max_examples=40, deadline=None)
@given(sends=st.lists(_SEND, min_size=1, max_size=6), other_s=st.none() | st.floats(0, 4e-3))
def test_closed_forms_end_when_the_fabric_does(sends, other_s):
    topology = cluster()
    quick, quick_bytes, _ = ends(topology, sends, closed_form=True, other_s=other_s)
    slow, slow_bytes, _ = ends(topology, sends, closed_form=False, other_s=other_s)
    np.testing.assert_allclose(quick, slow, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(quick_bytes, slow_bytes, rtol=1e-9, atol=1)


def test_sends_apart_never_touch_the_fabric():
    sends = [(0.0, 0, 4, 1e7), (0.0, 1, 5, 1e7), (1.0, 0, 4, 1e7)]
    assert ends(cluster(), sends, closed_form=True)[2] == 0
    assert ends(cluster(), sends, closed_form=False)[2] > 0


def test_sends_out_of_one_adapter_share_it():
    one = ends(cluster(), [(0.0, 0, 4, 1e8)], closed_form=True)[0][0][1]
    both = ends(cluster(), [(0.0, 0, 4, 1e8), (0.0, 0, 5, 1e8)], closed_form=True)[0]
    assert both[0][1] > 1.5 * one


def test_a_pipeline_is_mostly_quiet_and_as_long_as_on_the_fabric(monkeypatch):
    topology = cluster()
    spec = job(parallelism={"pipeline": 8}, global_batch=128, steps=1)

    def run_once():
        world = World(topology)
        training = workload(spec, topology)
        world.env.run(until=training.start(world))
        return training.outcome().metrics, world.fabric.solves

    quick, few = run_once()
    monkeypatch.setattr(Network, "closed_forms", False)
    slow, many = run_once()
    assert quick == pytest.approx(slow, rel=1e-9, abs=1e-12)
    assert few < many / 3
