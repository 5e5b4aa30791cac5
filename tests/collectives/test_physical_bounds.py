"""No collective beats physics, and the fabric carries exactly the algorithm's bytes."""

from __future__ import annotations

import numpy as np
import pytest
from collective_bench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.collectives import Communicator
from clustersim.collectives.algorithms import ALGORITHMS
from clustersim.collectives.kinds import PASSES
from clustersim.collectives.plan import NotApplicableError
from clustersim.engine.world import World
from clustersim.topology import Topology

MIB = 2**20
NODES = ("dgx-h100", "dgx-a100", "a100-40gb-x4", "mi300x-x8", "t4-x4", "dgx-1v", "l40s-x8")


def out_rate(topology: Topology, vertices: set[str]) -> float:
    """Bandwidth of all links that leave a set of vertices, bytes/s."""
    leaving = [one in vertices and other not in vertices for one, other in topology.link_ends]
    return float(topology.link_bandwidth_bytes_per_s[np.array(leaving)].sum())


def bound_s(
    topology: Topology, gpus: tuple[str, ...], kind: str, size_bytes: float, *, in_switch: bool
) -> float:
    """Time in which each GPU and each node can send what any algorithm has to send."""
    ranks = len(gpus)
    nodes = {topology.node_of(gpu) for gpu in gpus}
    each = 1 + 1 / ranks if in_switch else PASSES[kind] * (ranks - 1) / ranks
    times_s = [each * size_bytes / out_rate(topology, {gpu}) for gpu in gpus]
    if len(nodes) > 1:
        across = PASSES[kind] * (len(nodes) - 1) / len(nodes) * size_bytes
        for node in nodes:
            inside = {vertex for vertex, home in topology.graph.nodes(data="node") if home == node}
            times_s.append(across / out_rate(topology, inside))
    return max(times_s)


@settings(deadline=None, max_examples=300)
@given(
    node=st.sampled_from(NODES),
    nodes=st.integers(1, 5),
    per_node=st.integers(1, 8),
    kind=st.sampled_from(sorted(PASSES)),
    algorithm=st.sampled_from(("auto", *ALGORITHMS)),
    size_bytes=st.floats(1, 1e10),
)
def test_no_algorithm_is_faster_than_what_gpus_and_nodes_can_send(
    bench: Bench, node: str, nodes: int, per_node: int, kind: str, algorithm: str, size_bytes: float
) -> None:
    topology = bench.topology(node, nodes)
    gpus = tuple(gpu for members in topology.gpus_by_node.values() for gpu in members[:per_node])
    if len(gpus) < 2 or (algorithm in ALGORITHMS and kind not in ALGORITHMS[algorithm].planners):
        return
    communicator = Communicator(World(topology), gpus, owner="test", algorithm=algorithm)
    try:
        alone_s = communicator.alone_s(kind, size_bytes)
    except NotApplicableError:
        assert algorithm == "torus"
        return
    in_switch = communicator.algorithm_of(kind, size_bytes).startswith("nvls")
    assert alone_s >= bound_s(topology, gpus, kind, size_bytes, in_switch=in_switch and nodes == 1)


ROOTED = {"broadcast": 1.0, "reduce": 1.0, "gather": 1.0, "scatter": 1.0, "all_to_all": 1.0}


@settings(deadline=None, max_examples=150)
@given(
    node=st.sampled_from(NODES),
    nodes=st.integers(1, 4),
    kind=st.sampled_from(sorted(ROOTED)),
    data=st.data(),
    size_bytes=st.floats(1, 1e10),
)
def test_no_rooted_collective_is_faster_than_what_its_root_can_send_or_receive(
    bench: Bench, node: str, nodes: int, kind: str, data: st.DataObject, size_bytes: float
) -> None:
    topology = bench.topology(node, nodes)
    ranks = len(topology.gpus)
    named = ("auto", *(name for name, algorithm in ALGORITHMS.items() if kind in algorithm.planners))
    algorithm = data.draw(st.sampled_from(named))
    root = data.draw(st.integers(0, ranks - 1))
    communicator = Communicator(World(topology), topology.gpus, owner="test", algorithm=algorithm)
    asked = kind if kind == "all_to_all" else f"{kind}:{root}"
    part = 1.0 if kind in ("broadcast", "reduce") else (ranks - 1) / ranks
    at_root_s = part * size_bytes / out_rate(topology, {topology.gpus[root]})
    assert communicator.alone_s(asked, size_bytes) >= at_root_s


@settings(deadline=None, max_examples=40)
@given(
    shape=st.lists(st.integers(2, 4), min_size=1, max_size=3),
    kind=st.sampled_from(sorted(PASSES)),
    algorithm=st.sampled_from(("torus", "ring", "bidirectional-ring", "halving-doubling", "direct")),
    size_bytes=st.floats(1, 1e10),
)
def test_on_a_torus_no_algorithm_beats_the_links_of_a_chip(
    bench: Bench, shape: list[int], kind: str, algorithm: str, size_bytes: float
) -> None:
    topology = bench.torus(*shape)
    communicator = Communicator(World(topology), topology.gpus, owner="test", algorithm=algorithm)
    alone_s = communicator.alone_s(kind, size_bytes)
    assert alone_s >= bound_s(topology, topology.gpus, kind, size_bytes, in_switch=False)


@settings(deadline=None, max_examples=30)
@given(leaves=st.integers(1, 3), nodes=st.integers(1, 3), size_bytes=st.floats(1, 1e10))
def test_reduction_in_the_network_sends_each_byte_once(
    bench: Bench, leaves: int, nodes: int, size_bytes: float
) -> None:
    if leaves * nodes < 2:
        return
    topology = bench.reducing_leaf_spine(leaves=leaves, nodes=nodes)
    communicator = Communicator(World(topology), topology.gpus, owner="test", algorithm="sharp")
    alone_s = communicator.alone_s("all_reduce", size_bytes)
    assert communicator.algorithm_of("all_reduce", size_bytes).startswith("sharp/")
    assert alone_s >= size_bytes / out_rate(topology, {"node0/nic0", "node0/gpu0", "node0/gpu1"})


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("algorithm", ["ring", "nvls"])
def test_inside_a_node_all_reduce_keeps_the_bound_of_the_scale_up_links(
    bench: Bench, node: str, algorithm: str
) -> None:
    topology = bench.topology(node)
    communicator = Communicator(World(topology), topology.gpus, owner="test", algorithm=algorithm)
    ranks, size_bytes = len(topology.gpus), 1e9
    rate = sum(
        float(topology.link_bandwidth_bytes_per_s[link])
        for link, (source, _) in enumerate(topology.link_ends)
        if source == topology.gpus[0]
        and (topology.link_tier[link] == "scale-up" or "scale-up" not in topology.link_tier)
    )
    ring_bound_s = 2 * (ranks - 1) / ranks * size_bytes / rate
    switch_bound_s = (1 + 1 / ranks) * size_bytes / rate
    in_switch = communicator.algorithm_of("all_reduce", size_bytes).startswith("nvls")
    assert communicator.alone_s("all_reduce", size_bytes) >= (switch_bound_s if in_switch else ring_bound_s)


@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
@pytest.mark.parametrize(("kind", "sent"), [
    ("all_reduce", 2 * 7 / 8), ("reduce_scatter", 7 / 8), ("all_gather", 7 / 8), ("all_to_all", 7 / 8),
])  # fmt: skip
def test_each_gpu_sends_the_bytes_of_the_algorithm(
    bench: Bench, kind: str, sent: float, fidelity: str
) -> None:
    topology = bench.topology("dgx-a100")
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="test", fidelity=fidelity, algorithm="ring")
    world.env.run(until=getattr(communicator, kind)(8 * MIB))
    carried = world.fabric.usage().bytes
    for gpu in topology.gpus:
        port = topology.link_index(f"{gpu}>node0/nvswitch")
        assert carried[port] == pytest.approx(sent * 8 * MIB, rel=1e-9)


@pytest.mark.parametrize("fidelity", ["macro", "stepwise"])
@pytest.mark.parametrize(("algorithm", "crossing"), [("tree", 1.0), ("nvls", 1.0), ("ring", 2 * 15 / 16)])
def test_across_two_nodes_the_bytes_between_them_are_those_of_the_algorithm(
    bench: Bench, algorithm: str, crossing: float, fidelity: str
) -> None:
    topology = bench.topology("dgx-h100", 2)
    world = World(topology)
    communicator = Communicator(world, topology.gpus, owner="test", fidelity=fidelity, algorithm=algorithm)
    world.env.run(until=communicator.all_reduce(8 * MIB))
    carried = world.fabric.usage().bytes
    nics = [topology.link_index(f"node0/nic{index}>switch0") for index in range(8)]
    assert carried[nics].sum() == pytest.approx(crossing * 8 * MIB, rel=1e-9)
    np.testing.assert_allclose(carried[nics], carried[nics].mean(), rtol=1e-9)


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(range(8)), size_bytes=st.floats(1, 1e9))
def test_the_order_of_equal_gpus_changes_nothing(bench: Bench, order: list[int], size_bytes: float) -> None:
    topology = bench.topology("dgx-h100")
    straight, shuffled = (
        Communicator(World(topology), [topology.gpus[rank] for rank in ranks], owner="test")
        for ranks in (range(8), order)
    )
    assert shuffled.alone_s("all_reduce", size_bytes) == straight.alone_s("all_reduce", size_bytes)
