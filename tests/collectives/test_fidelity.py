"""The macro-flow against the same collective message by message."""

from __future__ import annotations

import numpy as np
import pytest
from collective_bench import Bench

from clustersim.collectives import Communicator
from clustersim.collectives.algorithms import ALGORITHMS
from clustersim.collectives.plan import CHUNKS
from clustersim.engine.world import World
from clustersim.topology import Topology

MIB = 2**20


def both(
    bench: Bench, topology: Topology, kind: str, size_bytes: float, **options: object
) -> tuple[float, float]:
    records = [
        bench.run(topology, kind, size_bytes, fidelity=fidelity, **options)
        for fidelity in ("macro", "stepwise")
    ]
    return records[0].end_s, records[1].end_s


@pytest.mark.parametrize("ranks", range(2, 17))
@pytest.mark.parametrize("size_bytes", [64 * 1024, 16 * MIB])
def test_rings_on_equal_links_agree_to_rounding(bench: Bench, ranks: int, size_bytes: int) -> None:
    topology = bench.star_of_gpus([200e9] * ranks)
    macro_s, stepwise_s = both(bench, topology, "all_reduce", size_bytes, algorithm="ring")
    assert macro_s == pytest.approx(stepwise_s, rel=1e-9)


@pytest.mark.parametrize("ranks", [2, 3, 5, 8, 13, 16])
@pytest.mark.parametrize("kind", ["all_reduce", "all_gather"])
@pytest.mark.parametrize("size_bytes", [64 * 1024, MIB, 64 * MIB])
def test_rings_on_unequal_links_agree_within_1_1_percent(
    bench: Bench, ranks: int, kind: str, size_bytes: int
) -> None:
    rates = [200e9 / (1 + (rank * 7) % 5) for rank in range(ranks)]
    topology = bench.star_of_gpus(rates, latency_s=5e-6)
    macro_s, stepwise_s = both(bench, topology, kind, size_bytes, algorithm="ring")
    assert macro_s == pytest.approx(stepwise_s, rel=0.011)


@pytest.mark.parametrize("algorithm", ["ring", "hierarchical"])
@pytest.mark.parametrize(
    ("node", "nodes"), [("a100-40gb-x4", 2), ("a100-40gb-x4", 3), ("dgx-h100", 2), ("t4-x4", 2)]
)
@pytest.mark.parametrize("size_bytes", [64 * 1024, 16 * MIB])
def test_rings_across_nodes_agree_within_1_1_percent(
    bench: Bench, algorithm: str, node: str, nodes: int, size_bytes: int
) -> None:
    macro_s, stepwise_s = both(
        bench, bench.topology(node, nodes), "all_reduce", size_bytes, algorithm=algorithm
    )
    assert macro_s == pytest.approx(stepwise_s, rel=0.011)


@pytest.mark.parametrize(
    ("algorithm", "node", "nodes"), [("tree", "a100-40gb-x4", 3), ("nvls", "dgx-h100", 2)]
)
@pytest.mark.parametrize("size_bytes", [64 * 1024, 64 * MIB])
def test_pipelines_agree_up_to_the_time_that_fills_them(
    bench: Bench, algorithm: str, node: str, nodes: int, size_bytes: int
) -> None:
    topology = bench.topology(node, nodes)
    communicator = Communicator(World(topology), topology.gpus, owner="test", algorithm=algorithm)
    depth = communicator.candidates("all_reduce")[0].plan.phases[0].depth
    macro_s, stepwise_s = both(bench, topology, "all_reduce", size_bytes, algorithm=algorithm)
    assert macro_s <= stepwise_s * (1 + 1e-9)
    assert stepwise_s <= macro_s * (1 + (depth - 1) / CHUNKS)


ROUNDS = [
    (name, kind)
    for name, algorithm in ALGORITHMS.items()
    for kind in algorithm.planners
    if name in ("binomial", "bruck", "direct", "one-shot", "rabenseifner") or name.endswith("-doubling")
    if kind not in ("send_recv", "barrier")
]


@pytest.mark.parametrize(("algorithm", "kind"), ROUNDS)
@pytest.mark.parametrize("ranks", [4, 7])
def test_rounds_on_one_switch_agree_to_rounding_for_powers_of_two_and_else_within_15_percent(
    bench: Bench, algorithm: str, kind: str, ranks: int
) -> None:
    topology = bench.star_of_gpus([200e9] * ranks)
    macro_s, stepwise_s = both(bench, topology, kind, MIB, algorithm=algorithm)
    if ranks == 4:
        assert macro_s == pytest.approx(stepwise_s, rel=1e-9)
    else:  # ranks that are left out of a round go ahead of the others, and into their way
        assert macro_s == pytest.approx(stepwise_s, rel=0.15)


@pytest.mark.parametrize(("algorithm", "kind"), ROUNDS)
@pytest.mark.parametrize("size_bytes", [64 * 1024, 16 * MIB])
def test_rounds_across_nodes_are_at_most_a_third_too_fast_and_a_fifth_too_slow(
    bench: Bench, algorithm: str, kind: str, size_bytes: int
) -> None:
    topology = bench.topology("a100-40gb-x4", 3)
    macro_s, stepwise_s = both(bench, topology, kind, size_bytes, algorithm=algorithm)
    assert 0.67 * stepwise_s <= macro_s <= 1.2 * stepwise_s


@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "all_gather"])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 3, 2)])
@pytest.mark.parametrize("algorithm", ["torus", "bidirectional-ring"])
def test_rings_on_a_torus_agree_within_1_percent(
    bench: Bench, algorithm: str, shape: tuple[int, ...], kind: str
) -> None:
    macro_s, stepwise_s = both(bench, bench.torus(*shape), kind, 4 * MIB, algorithm=algorithm)
    assert macro_s == pytest.approx(stepwise_s, rel=0.01)


@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("algorithm", ["sharp", "hierarchical-3-level"])
def test_reduction_by_switches_and_three_levels_agree_within_6_percent(
    bench: Bench, leaves: int, algorithm: str
) -> None:
    topology = bench.reducing_leaf_spine(leaves=leaves, nodes=3)
    macro_s, stepwise_s = both(bench, topology, "all_reduce", 64 * MIB, algorithm=algorithm)
    assert macro_s == pytest.approx(stepwise_s, rel=0.06)


def test_uneven_messages_share_links_step_by_step_and_take_longer_than_together(bench: Bench) -> None:
    topology = bench.topology("dgx-a100")
    matrix = np.random.default_rng(2).lognormal(14, 1, (8, 8))
    ends_s = []
    for fidelity in ("macro", "stepwise"):
        world = World(topology)
        communicator = Communicator(world, topology.gpus, owner="test", fidelity=fidelity)
        ends_s.append(world.env.run(until=communicator.all_to_all_v(matrix)).end_s)
    assert ends_s[0] == pytest.approx(ends_s[1], rel=1e-9)  # each is bound to its part of the pace


def test_messages_without_relays_agree_to_rounding(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    macro_s, stepwise_s = both(bench, topology, "all_to_all", MIB)
    assert macro_s == pytest.approx(stepwise_s, rel=1e-9)


def shared_s(topology: Topology, fidelity: str, groups: list[list[str]], size_bytes: float) -> list[float]:
    """When each of several all-reduces ends that start together."""
    world = World(topology)
    events = [
        Communicator(world, gpus, owner=f"job{index}", algorithm="ring", fidelity=fidelity).all_reduce(
            size_bytes
        )
        for index, gpus in enumerate(groups)
    ]
    world.env.run(until=world.env.all_of(events))
    return [float(event.value.end_s) for event in events]


@pytest.mark.parametrize(("size_bytes", "tolerance"), [(4 * MIB, 0.08), (16 * MIB, 0.03), (64 * MIB, 0.01)])
def test_two_rings_that_share_all_links_agree_better_the_longer_they_are(
    bench: Bench, size_bytes: int, tolerance: float
) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    groups = [list(topology.gpus), list(topology.gpus)]
    macro_s, stepwise_s = (
        shared_s(topology, fidelity, groups, size_bytes) for fidelity in ("macro", "stepwise")
    )
    assert macro_s == pytest.approx(stepwise_s, rel=tolerance)
    assert macro_s[0] > 1.2 * Communicator(
        World(topology), topology.gpus, owner="alone", algorithm="ring"
    ).alone_s("all_reduce", size_bytes)


def test_a_ring_beside_a_long_flow_agrees_within_3_percent(bench: Bench) -> None:
    topology = bench.topology("a100-40gb-x4", 2)
    ends_s = []
    for fidelity in ("macro", "stepwise"):
        world = World(topology)
        world.transfer("node0/gpu0", "node1/gpu0", 1e9)
        communicator = Communicator(world, topology.gpus, owner="job", algorithm="ring", fidelity=fidelity)
        record = world.env.run(until=communicator.all_reduce(16 * MIB))
        ends_s.append(record.end_s)
    assert ends_s[0] == pytest.approx(ends_s[1], rel=0.03)
    assert ends_s[0] > 1.3 * communicator.alone_s("all_reduce", 16 * MIB)
