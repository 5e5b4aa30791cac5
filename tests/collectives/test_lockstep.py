"""Groups in lockstep: one is a communicator; several take what their common links need, and no less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from collective_bench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.collectives import Communicator, LockstepCommunicator
from clustersim.collectives.algorithms import ALGORITHMS
from clustersim.collectives.kinds import KINDS
from clustersim.collectives.plan import NotApplicableError
from clustersim.engine.trace import NETWORK_LATENCY
from clustersim.engine.world import World
from clustersim.errors import InputError
from clustersim.results.link_sharing import LinkSharing
from clustersim.topology import Topology

MIB = 2**20
SYMMETRIC = ("all_reduce", "reduce_scatter", "all_gather", "all_to_all")


def nodes_of(topology: Topology) -> list[tuple[str, ...]]:
    """One group per node."""
    return list(topology.gpus_by_node.values())


def columns_of(topology: Topology) -> list[tuple[str, ...]]:
    """The k-th GPUs of all nodes, for each k."""
    return list(zip(*topology.gpus_by_node.values(), strict=True))


def run(communicator: Communicator, kind: str, *arguments: Any, **options: Any) -> Any:
    return communicator.world.env.run(until=getattr(communicator, kind)(*arguments, **options))


def bandwidth_s(communicator: Communicator, kind: str, size_bytes: float) -> float:
    """What a collective takes alone beyond its latency."""
    shares = communicator.alone_shares(kind, size_bytes)
    return sum(shares.values()) - shares[NETWORK_LATENCY]


@pytest.mark.parametrize("algorithm", ["auto", *ALGORITHMS])
@pytest.mark.parametrize(("node", "nodes"), [("dgx-h100", 2), ("a100-40gb-x4", 2), ("dgx-1v", 1)])
def test_one_group_is_a_communicator_to_the_bit(bench: Bench, node: str, nodes: int, algorithm: str) -> None:
    topology = bench.topology(node, nodes)
    for kind in sorted(
        {"all_reduce", "all_to_all"} | set(getattr(ALGORITHMS.get(algorithm), "planners", ()))
    ):
        if kind == "send_recv":
            continue
        size = () if kind == "barrier" else (3 * MIB,)
        try:
            plain, lockstep = (
                run(
                    Communicator(World(topology), topology.gpus, owner="a", algorithm=algorithm), kind, *size
                ),
                run(
                    LockstepCommunicator(World(topology), [topology.gpus], owner="a", algorithm=algorithm),
                    kind,
                    *size,
                ),
            )
        except (NotApplicableError, InputError):
            continue
        assert (plain.end_s, plain.shares) == (lockstep.end_s, lockstep.shares)


@pytest.mark.parametrize("kind", SYMMETRIC)
@pytest.mark.parametrize("node", ["dgx-h100", "a100-40gb-x4", "mi300x-x8"])
def test_groups_on_links_of_their_own_take_the_time_of_one(bench: Bench, node: str, kind: str) -> None:
    topology = bench.topology(node, 3)
    groups = nodes_of(topology)
    alone = Communicator(World(topology), groups[0], owner="a")
    together = LockstepCommunicator(World(topology), groups, owner="a")
    for size_bytes in (1024, MIB, 256 * MIB):
        assert together.algorithm_of(kind, size_bytes) == alone.algorithm_of(kind, size_bytes)
        assert together.alone_s(kind, size_bytes) == pytest.approx(alone.alone_s(kind, size_bytes), rel=1e-12)
    assert run(together, kind, MIB).end_s == pytest.approx(alone.alone_s(kind, MIB), rel=1e-9)


@pytest.mark.parametrize("kind", SYMMETRIC)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_groups_that_share_an_uplink_take_the_bandwidth_part_once_each(
    bench: Bench, kind: str, count: int
) -> None:
    topology = bench.topology("t4-x4", 2)  # one NIC per node
    groups = columns_of(topology)[:count]
    alone = Communicator(World(topology), groups[0], owner="a")
    together = LockstepCommunicator(World(topology), groups, owner="a")
    size_bytes = 64 * MIB
    assert bandwidth_s(together, kind, size_bytes) == pytest.approx(
        count * bandwidth_s(alone, kind, size_bytes), rel=1e-9
    )
    assert run(together, kind, size_bytes).end_s == pytest.approx(
        together.alone_s(kind, size_bytes), rel=1e-9
    )


def test_the_bytes_on_the_links_are_those_of_all_groups(bench: Bench) -> None:
    topology = bench.topology("dgx-a100", 3)
    worlds = [World(topology), World(topology)]
    run(LockstepCommunicator(worlds[0], columns_of(topology), owner="a", algorithm="ring"), "all_gather", MIB)
    for group in columns_of(topology):
        run(Communicator(worlds[1], group, owner="a", algorithm="ring"), "all_gather", MIB)
    np.testing.assert_allclose(*(world.fabric.usage().bytes for world in worlds), rtol=1e-9)


def sides(topology: Topology) -> list[set[str]]:
    """Each GPU, and all vertices of each node."""
    home = dict(topology.graph.nodes(data="node"))
    nodes = [{vertex for vertex, of in home.items() if of == node} for node in topology.gpus_by_node]
    return [*({gpu} for gpu in topology.gpus), *nodes]


def crossing_bytes(kind: str, inside: int, ranks: int, size_bytes: float) -> tuple[float, float]:
    """Bytes that must leave and enter a set of `inside` of a group's ranks, whatever the algorithm."""
    if inside in (0, ranks):
        return 0.0, 0.0
    within, without = inside / ranks * size_bytes, (1 - inside / ranks) * size_bytes
    return {
        "all_reduce": (size_bytes, size_bytes),
        "reduce_scatter": (without, within),
        "all_gather": (within, without),
        "all_to_all": (inside * without, inside * without),
    }[kind]


@settings(deadline=None, max_examples=120)
@given(
    node=st.sampled_from(("dgx-h100", "dgx-a100", "a100-40gb-x4", "t4-x4", "dgx-1v")),
    nodes=st.integers(1, 3),
    kind=st.sampled_from(SYMMETRIC),
    algorithm=st.sampled_from(("auto", *ALGORITHMS)),
    size_bytes=st.floats(1, 1e10),
    data=st.data(),
)
def test_no_groups_are_faster_than_what_their_gpus_and_nodes_can_send_and_receive_together(
    bench: Bench,
    node: str,
    nodes: int,
    kind: str,
    algorithm: str,
    size_bytes: float,
    data: st.DataObject,
) -> None:
    topology = bench.topology(node, nodes)
    order = data.draw(st.permutations(topology.gpus))
    ranks = data.draw(st.sampled_from([n for n in (2, 3, 4, 8) if n <= len(order)]))
    groups = [order[first : first + ranks] for first in range(0, len(order) - ranks + 1, ranks)]
    communicator = LockstepCommunicator(World(topology), groups, owner="a", algorithm=algorithm)
    try:
        alone_s = communicator.alone_s(kind, size_bytes)
    except InputError:  # not for the kind, or not for groups of these shapes
        return
    rates = topology.link_bandwidth_bytes_per_s
    for side in sides(topology):
        ends = np.array([(source in side, target in side) for source, target in topology.link_ends])
        leaving, entering = ends[:, 0] & ~ends[:, 1], ends[:, 1] & ~ends[:, 0]
        needs = [crossing_bytes(kind, len(side.intersection(group)), ranks, size_bytes) for group in groups]
        out_bytes, in_bytes = map(sum, zip(*needs, strict=True))
        assert alone_s >= out_bytes / rates[leaving].sum()
        assert alone_s >= in_bytes / rates[entering].sum()


@pytest.mark.parametrize(
    ("algorithm", "kind", "tolerance"),
    [
        ("ring", "all_reduce", 0.011),
        ("ring", "all_gather", 0.011),
        ("direct", "all_to_all", 1e-9),
        ("direct", "all_gather", 1e-9),
        ("halving-doubling", "reduce_scatter", 0.1),
    ],
)
@pytest.mark.parametrize("groups_of", [nodes_of, columns_of])
def test_groups_in_lockstep_agree_with_their_messages_step_by_step(
    bench: Bench, groups_of: Any, algorithm: str, kind: str, tolerance: float
) -> None:
    topology = bench.topology("a100-40gb-x4", 4)
    ends_s = [
        run(
            LockstepCommunicator(
                World(topology), groups_of(topology), owner="a", algorithm=algorithm, fidelity=fidelity
            ),
            kind,
            4 * MIB,
        ).end_s
        for fidelity in ("macro", "stepwise")
    ]
    assert ends_s[0] == pytest.approx(ends_s[1], rel=tolerance)


def test_equal_groups_on_one_link_take_longer_than_each_on_its_own_by_the_overhead_of_the_protocol(
    bench: Bench,
) -> None:
    topology = bench.topology("t4-x4", 3)
    groups, options = columns_of(topology), {"owner": "a", "algorithm": "ring"}
    lockstep = LockstepCommunicator(World(topology), groups, **options)
    together_s = run(lockstep, "all_reduce", 64 * MIB).end_s
    world = World(topology)
    events = [Communicator(world, group, **options).all_reduce(64 * MIB) for group in groups]
    world.env.run(until=world.env.all_of(events))
    protocol = lockstep.algorithm_of("all_reduce", 64 * MIB).partition("/")[2]
    (costs,) = lockstep.candidates("all_reduce")[0].phases[0].load.costs
    overhead = costs.families["ring"][protocol].bandwidth_efficiency
    assert overhead < 0.95
    assert overhead * together_s == pytest.approx(world.env.now, rel=0.02)


@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
def test_every_first_rank_sends_to_its_second_at_once(bench: Bench, fidelity: str) -> None:
    own, shared = bench.topology("dgx-h100", 2), bench.topology("t4-x4", 2)
    for topology, together in ((own, 1), (shared, 4)):
        one = Communicator(World(topology), columns_of(topology)[0], owner="a")
        pairs = LockstepCommunicator(World(topology), columns_of(topology), owner="a", fidelity=fidelity)
        latency_s = one.alone_shares("send_recv:0:1", 8 * MIB)[NETWORK_LATENCY]
        expected_s = latency_s + together * bandwidth_s(one, "send_recv:0:1", 8 * MIB)
        record = run(pairs, "send", 8 * MIB, label="activations")
        assert record.end_s == pytest.approx(expected_s, rel=1e-9)
        assert pairs.alone_s("send_recv:0:1", 8 * MIB) == pytest.approx(expected_s, rel=1e-9)
        assert [row.label for row in pairs.world.trace.rows] == ["activations"]


def test_pairs_may_share_their_ends(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    around = list(zip(topology.gpus, (*topology.gpus[1:], topology.gpus[0]), strict=True))
    one = Communicator(World(topology), around[0], owner="a").alone_s("send_recv:0:1", MIB)
    assert run(LockstepCommunicator(World(topology), around, owner="a"), "send", MIB).end_s == pytest.approx(
        one
    )


def test_a_macro_run_of_many_groups_costs_the_fabric_as_many_events_as_one(bench: Bench) -> None:
    topology = bench.topology("dgx-a100", 4)
    events = []
    for groups in (columns_of(topology)[:1], columns_of(topology)):
        communicator = LockstepCommunicator(World(topology), groups, owner="a", algorithm="ring")
        run(communicator, "all_reduce", MIB, repeat=3)
        events.append(communicator.world.fabric.events)
    assert events[0] == events[1]


def test_every_kind_runs_in_groups_and_has_its_closed_form(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    communicator = LockstepCommunicator(World(topology), columns_of(topology), owner="a")
    for kind in sorted(set(KINDS) - {"send_recv", "barrier", "all_to_all_v"}):
        start_s = communicator.world.env.now
        record = run(communicator, kind, MIB)
        rooted = kind in ("broadcast", "reduce", "gather", "scatter")
        asked = f"{kind}:0" if rooted else kind
        assert record.end_s - start_s == pytest.approx(communicator.alone_s(asked, MIB), rel=1e-9)
    uneven = np.array([[0, 3e6], [1e6, 0]])
    start_s = communicator.world.env.now
    assert run(communicator, "all_to_all_v", uneven).end_s - start_s == pytest.approx(
        communicator.alone_s("all_to_all_v", uneven), rel=1e-9
    )


def test_where_only_some_groups_have_trees_all_take_the_ring(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 3)
    gpus = topology.gpus
    groups = [gpus[:4], gpus[4:6] + gpus[8:10]]  # one inside a node, one across
    communicator = LockstepCommunicator(World(topology), groups, owner="a", algorithm="tree")
    assert communicator.algorithm_of("all_reduce", MIB).startswith("ring/")
    with pytest.raises(InputError, match="unlike shape"):
        LockstepCommunicator(World(topology), groups, owner="a", algorithm="hierarchical").all_reduce(MIB)


def test_groups_that_cannot_be_in_lockstep_are_refused(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    gpus = topology.gpus
    for groups, message in (
        ([], "at least one group"),
        ([gpus[:3], gpus[3:8]], "equally many ranks; there are some of 3, 5"),
        ([gpus[:4], gpus[3:7]], "'node0/gpu3' is in 2 groups"),
        ([gpus[:2], (gpus[4], gpus[4])], "named twice"),
    ):
        with pytest.raises(InputError, match=message):
            LockstepCommunicator(World(topology), groups, owner="a")


def test_parts_of_one_owner_are_strangers_and_reports_count_them_to_it(bench: Bench) -> None:
    topology = bench.topology("dgx-a100", 2)
    world = World(topology)
    tensor = LockstepCommunicator(world, nodes_of(topology), owner="job", part="tensor")
    data = LockstepCommunicator(world, columns_of(topology), owner="job", part="data", algorithm="ring")
    for communicator in (tensor, data):
        communicator.alone_s("all_gather", MIB)
    assert tensor.private  # NVLink alone
    assert data.private  # PCIe and NICs alone
    sends = Communicator(world, (topology.gpus[0], topology.gpus[8]), owner="job", part="pipeline")
    sends.alone_s("send_recv:0:1", MIB)
    assert tensor.private
    assert not data.private
    for communicator in (tensor, data):
        run(communicator, "all_gather", MIB)
    assert {place[0] for place in world.link_waits.by_place} == {"job"}


def test_a_report_counts_the_parts_of_an_owner_to_it(bench: Bench) -> None:
    topology = bench.topology("t4-x4", 2)
    world = World(topology)
    for part in ("tensor", "data"):
        run(LockstepCommunicator(world, columns_of(topology), owner="job", part=part), "all_gather", MIB)
    used = np.flatnonzero(world.fabric.usage().bytes).tolist()
    sharing = LinkSharing.of(world.fabric.moved_bytes(), world.link_waits.by_place, used, ["job"])
    assert len({route_set.owner for route_set, _ in world.fabric.moved_bytes()}) == 2
    assert set(sharing.owner) == set(sharing.workload) == {"job"}
    np.testing.assert_allclose(sharing.carried_bytes, world.fabric.usage().bytes[used], rtol=1e-9)


def test_messages_of_a_whole_mean_what_they_mean_in_their_group(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 3)
    groups = nodes_of(topology)
    whole = LockstepCommunicator(World(topology), groups, owner="a", algorithm="ring")
    (together,) = whole.candidates("all_reduce")
    phase, first = together.plan.phases[0], 0
    for group in groups:
        alone = Communicator(World(topology), group, owner="a", algorithm="ring").candidates("all_reduce")
        own = alone[0].plan.phases[0]
        for index, (connection, feeds) in enumerate(zip(own.connections, own.feeds, strict=True)):
            there = first + index
            assert phase.connections[there].links == connection.links
            assert phase.feeds[there] == tuple(first + fed for fed in feeds)
            for message in range(own.messages[index]):
                ours, theirs = (each.carries(at, message) for each, at in ((own, index), (phase, there)))
                assert (*ours.blocks, ours.reduces) == (*theirs.blocks, theirs.reduces)
        first += len(own.connections)
    assert first == len(phase.connections)
