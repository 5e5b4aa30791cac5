"""The communicator: what it returns, records, books and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from collective_bench import Bench

from clustersim.collectives import Communicator
from clustersim.collectives.kinds import KINDS
from clustersim.engine.trace import NETWORK_LATENCY, NO_CAUSE
from clustersim.engine.world import World
from clustersim.errors import InputError

MIB = 2**20
SYSTEMS = [
    ("dgx-h100", 1),
    ("dgx-h100", 2),
    ("a100-40gb-x4", 3),
    ("mi300x-x8", 1),
    ("t4-x4", 2),
    ("dgx-1v", 2),
]


@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast"])
@pytest.mark.parametrize(("ranks", "size_bytes"), [(1, MIB), (8, 0)])
def test_one_rank_or_no_bytes_take_no_time_and_leave_no_trace(
    bench: Bench, kind: str, ranks: int, size_bytes: int
) -> None:
    topology = bench.topology("dgx-a100")
    world = World(topology)
    communicator = Communicator(world, topology.gpus[:ranks], owner="test")
    record = world.env.run(until=getattr(communicator, kind)(size_bytes, cause=5))
    assert (record.row, record.start_s, record.end_s, dict(record.shares)) == (5, 0.0, 0.0, {})
    assert communicator.alone_s(kind, size_bytes) == 0.0
    assert len(world.trace) == 0


def test_a_message_to_oneself_takes_no_time(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="test")
    record = world.env.run(until=communicator.send_recv(MIB, source=3, target=3))
    assert record.end_s == 0.0


@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
@pytest.mark.parametrize(("node", "nodes"), SYSTEMS)
@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "broadcast", "all_to_all"])
def test_the_shares_of_a_record_add_up_to_its_duration(
    bench: Bench, node: str, nodes: int, kind: str, fidelity: str
) -> None:
    topology = bench.topology(node, nodes)
    gpus = topology.gpus if fidelity == "macro" else topology.gpus[-6:]
    record = bench.run(topology, kind, 4 * MIB, gpus=gpus, fidelity=fidelity)
    assert sum(record.shares.values()) == pytest.approx(record.end_s - record.start_s, rel=1e-12)
    assert all(seconds >= 0 for seconds in record.shares.values())
    assert record.shares[NETWORK_LATENCY] > 0
    assert any(resource.startswith("network_bandwidth:") for resource in record.shares)


def test_the_activity_in_the_trace_names_lane_label_and_cause(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="job", lane="job/comm")
    first = world.env.run(until=communicator.all_reduce(MIB, label="bucket 0"))
    second = world.env.run(until=communicator.all_reduce(MIB, label="bucket 1", cause=first.row))
    rows = world.trace.rows
    assert [(row.kind, row.lane, row.label, row.cause) for row in rows] == [
        ("collective", "job/comm", "bucket 0", NO_CAUSE),
        ("collective", "job/comm", "bucket 1", first.row),
    ]
    assert rows[second.row].start_s == rows[first.row].end_s


@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
def test_repeated_collectives_take_as_long_as_one_after_the_other(bench: Bench, fidelity: str) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="test", fidelity=fidelity, algorithm="ring")
    record = world.env.run(until=communicator.all_reduce(MIB, repeat=5))
    once_s = communicator.alone_s("all_reduce", MIB)
    assert record.end_s == pytest.approx(5 * once_s, rel=0.011 if fidelity == "stepwise" else 1e-9)


@pytest.mark.parametrize(("node", "nodes"), SYSTEMS)
def test_auto_is_the_fastest_alone_of_what_nccl_has(bench: Bench, node: str, nodes: int) -> None:
    topology = bench.topology(node, nodes)
    for size_bytes in (1024, MIB, 1024 * MIB):
        times_s = {
            algorithm: Communicator(
                World(topology), topology.gpus, owner="test", algorithm=algorithm
            ).alone_s("all_reduce", size_bytes)
            for algorithm in ("auto", "ring", "tree", "nvls")
        }
        assert times_s["auto"] == min(times_s.values())


def test_nvls_wins_for_large_messages_on_hopper_and_does_not_exist_on_ampere(bench: Bench) -> None:
    for node, expected in (("dgx-h100", "nvls/simple"), ("dgx-a100", "ring/simple")):
        topology = bench.topology(node)
        communicator = Communicator(World(topology), topology.gpus, owner="test")
        assert communicator.algorithm_of("all_reduce", 1024 * MIB) == expected


def test_what_was_run_in_closed_form_can_be_booked_on_the_links(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    usages = []
    for simulated in (True, False):
        world = World(topology)
        communicator = Communicator(world, topology.gpus, owner="test")
        if simulated:
            world.env.run(until=communicator.all_reduce(MIB, repeat=3))
        else:
            duration_s = 3 * communicator.alone_s("all_reduce", MIB)
            communicator.account("all_reduce", MIB, repeat=3, start_s=0.0, end_s=duration_s)
            world.env.run(until=duration_s)
        usages.append(world.fabric.usage().bytes)
    np.testing.assert_allclose(usages[0], usages[1], rtol=1e-9)
    assert usages[0].sum() > 0


def test_the_closed_form_shares_are_the_simulated_ones(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    communicator = Communicator(World(topology), topology.gpus, owner="test")
    record = bench.run(topology, "all_reduce", 8 * MIB)
    shares = communicator.alone_shares("all_reduce", 8 * MIB)
    assert shares[NETWORK_LATENCY] == pytest.approx(record.shares[NETWORK_LATENCY], rel=1e-9)
    assert sum(shares.values()) == pytest.approx(communicator.alone_s("all_reduce", 8 * MIB), rel=1e-12)


def test_a_communicator_is_private_until_another_owner_uses_its_links(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 4)
    world = World(topology)
    gpus = topology.gpus
    calls: list[str] = []
    one = Communicator(world, gpus[:8], owner="one")
    assert not one.private  # nothing is planned yet
    one.alone_s("all_reduce", MIB)
    one.on_shared(lambda: calls.append("one"))
    assert one.private
    apart = Communicator(world, gpus[8:], owner="two")
    apart.alone_s("all_reduce", MIB)
    assert one.private
    assert apart.private
    assert calls == []
    crossing = Communicator(world, gpus[4:12], owner="three")
    crossing.alone_s("all_reduce", MIB)
    assert not one.private
    assert not apart.private
    assert calls


@pytest.mark.parametrize(("kind", "factor"), [
    ("all_reduce", 1.75), ("all_gather", 0.875), ("reduce_scatter", 0.875), ("all_to_all", 0.875),
    ("broadcast", 1.0), ("send_recv", 1.0),
])  # fmt: skip
def test_bus_bandwidth_factors_are_those_of_nccl_tests(bench: Bench, kind: str, factor: float) -> None:
    topology = bench.topology("dgx-a100")
    assert Communicator(World(topology), topology.gpus, owner="test").bus_bytes_factor(kind) == factor
    assert kind in KINDS


@pytest.mark.parametrize(("change", "message"), [
    ({"algorithm": "rign"}, "Did you mean 'ring'"),
    ({"gpus": []}, "at least one GPU"),
    ({"gpus": ["node0/gpu1"] * 2}, "twice"),
])  # fmt: skip
def test_bad_groups_and_algorithms_are_refused(bench: Bench, change: dict[str, object], message: str) -> None:
    topology = bench.topology("dgx-a100")
    arguments = {"gpus": topology.gpus, "algorithm": "auto", **change}
    with pytest.raises(InputError, match=message):
        Communicator(World(topology), owner="test", **arguments)


def test_unknown_kinds_and_ranks_are_refused(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    communicator = Communicator(World(topology), topology.gpus, owner="test")
    with pytest.raises(InputError, match="Did you mean 'all_reduce'"):
        communicator.alone_s("allreduce", MIB)
    with pytest.raises(InputError, match="rank 8"):
        communicator.broadcast(MIB, root=8)
