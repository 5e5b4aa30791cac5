"""Transfers: overhead, latency, several connections, host bottlenecks, incast, adaptive choice."""

from __future__ import annotations

import networkx as nx
import pytest

import clustersim as cs
from clustersim.engine.trace import NETWORK_LATENCY, link_resource
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, from_graph

GIGABYTE = 1e9


def world(kind="star", nodes=2, node="dgx-h100", *, fabric=None, seed=0, **shape):
    spec = {"topology": {"kind": kind, "nodes": nodes, "node": node, **shape}, "fabric": fabric or {}}
    return cs.World(build(ClusterSpec.model_validate(spec), seed=seed))


def leaf_spine_of_gpus(per_leaf, spines, *, routing="ecmp", connections=1, seed=0):
    """Two leaves of GPUs with network ports of their own; every link carries 1 GB/s."""
    graph = nx.MultiDiGraph()
    ends = [(f"leaf{leaf}", f"spine{spine}") for leaf in range(2) for spine in range(spines)]
    graph.add_nodes_from({vertex for pair in ends for vertex in pair}, kind="switch")
    for n in range(2 * per_leaf):
        graph.add_node(f"g{n}", kind="gpu", node=f"node{n}", accelerator="a100-sxm4-40gb")
        ends.append((f"g{n}", f"leaf{n // per_leaf}"))
    for one, other in ends:
        for source, target in ((one, other), (other, one)):
            graph.add_edge(source, target, bandwidth_bytes_per_s=GIGABYTE, latency_s=0.0, kind="ethernet")
    return cs.World(from_graph(graph, seed=seed, routing=routing, connections=connections))


def finish_s(made, moves, size_bytes=GIGABYTE):
    """When each of several transfers that begin together has ended."""
    ended = {}

    def watch(n, process):
        yield process
        ended[n] = made.env.now

    for n, (source, target) in enumerate(moves):
        made.env.process(watch(n, made.transfer(source, target, size_bytes, connection=n)))
    made.env.run()
    return [ended[n] for n in range(len(moves))]


def shares_of(made, process):
    return made.trace.rows[made.env.run(process)].shares


def held_by(shares):
    """The link that held a transfer back the longest."""
    return max((name for name in shares if name.startswith("network_bandwidth")), key=shares.get)


def test_a_transfer_takes_overhead_then_latency_then_its_bytes_at_the_slowest_links_rate():
    graph = nx.MultiDiGraph()
    graph.add_node("switch", kind="switch")
    for name in ("a", "b"):
        graph.add_node(name, kind="gpu", node=name, accelerator="l4")
        for ends, rate in (((name, "switch"), 2e9), (("switch", name), 1e9)):
            fields = {"bandwidth_bytes_per_s": rate, "latency_s": 1e-6, "message_overhead_s": 5e-6}
            graph.add_edge(*ends, **fields, kind="tcp")
    made = cs.World(from_graph(graph))
    shares = shares_of(made, made.transfer("a", "b", GIGABYTE))
    assert made.env.now == pytest.approx(5e-6 + 2e-6 + 1.0, rel=1e-12)
    assert shares == pytest.approx({NETWORK_LATENCY: 7e-6, link_resource("switch>b"): 1.0}, rel=1e-12)


def test_overhead_is_that_of_the_technology_between_nodes_and_is_paid_once():
    made = world()
    links = made.topology.path("node0/gpu0", "node1/gpu3").links
    assert made.topology.message_overhead_s(links) == cs.catalog.link("infiniband-ndr").message_overhead_s
    inside = made.topology.path("node0/gpu0", "node0/gpu3").links
    assert made.topology.message_overhead_s(inside) == cs.catalog.link("nvlink-4").message_overhead_s
    assert made.topology.message_overhead_s(()) == 0.0


def test_spray_reaches_the_adapters_rate_where_one_hashed_path_is_held_by_its_uplink():
    moves = [("g0", "g4"), ("g1", "g5"), ("g2", "g6"), ("g3", "g7")]
    sprayed = finish_s(leaf_spine_of_gpus(4, 4, routing="spray"), moves)
    hashed = finish_s(leaf_spine_of_gpus(4, 4, routing="ecmp", seed=1), moves)
    assert sprayed == pytest.approx([1.0] * 4)
    assert max(hashed) >= 2.0 - 1e-9


def test_transfers_that_begin_together_go_round_each_other_under_adaptive_routing():
    moves = [("g0", "g4"), ("g1", "g5"), ("g2", "g6"), ("g3", "g7")]
    assert finish_s(leaf_spine_of_gpus(4, 4, routing="adaptive"), moves) == pytest.approx([1.0] * 4)


def test_a_later_transfer_goes_round_links_that_are_loaded_and_links_that_have_failed():
    made = leaf_spine_of_gpus(4, 3, routing="adaptive")
    busy = made.topology.link_index("leaf0>spine0")
    made.fabric.set_capacity(made.topology.link_index("leaf0>spine1"), 0.0)
    made.fabric.start(made.fabric.route_set([busy], [0.25]), 100 * GIGABYTE)
    made.env.run(0.5)
    shares = shares_of(made, made.transfer("g0", "g4", GIGABYTE))
    assert made.env.now == pytest.approx(1.5)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_pending_transfers_are_forgotten_once_they_flow():
    made = leaf_spine_of_gpus(2, 2, routing="adaptive")
    made.env.run(made.transfer("g0", "g2", GIGABYTE))
    made.env.run(made.transfer("g0", "g2", GIGABYTE))
    made.env.run(10.0)
    made._use.settle()
    uplinks = [made.topology.link_index(f"leaf0>spine{n}") for n in range(2)]
    assert [made._use(link) for link in uplinks] == [0.0, 0.0]


def test_a_transfer_of_four_connections_counts_as_four_beside_another():
    lone = leaf_spine_of_gpus(2, 1, connections=4)
    link = lone.topology.link_index("leaf0>spine0")
    other = lone.fabric.start(lone.fabric.route_set([link]), 0.2 * GIGABYTE)
    (end_s,) = finish_s(lone, [("g0", "g2")], 0.8 * GIGABYTE)
    assert end_s == pytest.approx(1.0)
    assert other.finished_s == pytest.approx(1.0)


def test_connections_over_different_spines_add_up_their_bandwidth():
    made = leaf_spine_of_gpus(1, 2, connections=16, seed=4)
    for n in range(2):
        for ends in ((f"leaf0>spine{n}"), (f"spine{n}>leaf1")):
            made.fabric.set_capacity(made.topology.link_index(ends), 0.5 * GIGABYTE)
    path = made.topology.path("g0", "g1")
    uneven = max(
        w
        for link, w in zip(path.links, path.weights, strict=True)
        if "spine" in made.topology.link_names[link]
    )
    (end_s,) = finish_s(made, [("g0", "g1")])
    assert end_s == pytest.approx(uneven / 0.5)
    assert end_s < 1.5


def test_two_gpus_behind_one_adapter_get_half_of_it_each():
    alone = finish_s(world("star", 2, "p4d.24xlarge"), [("node0/gpu0", "node1/gpu0")])
    shared = finish_s(
        world("star", 2, "p4d.24xlarge"),
        [("node0/gpu0", "node1/gpu0"), ("node0/gpu1", "node1/gpu2")],
    )
    assert shared == pytest.approx([2 * alone[0]] * 2, rel=1e-3)
    apart = finish_s(
        world("star", 2, "p4d.24xlarge"),
        [("node0/gpu0", "node1/gpu0"), ("node0/gpu2", "node1/gpu2")],
    )
    assert apart == pytest.approx([alone[0]] * 2, rel=1e-3)


def test_incast_shares_the_receivers_link_and_names_it():
    made = world("star", 8)
    senders = [made.transfer(f"node{n}/gpu0", "node7/gpu0", GIGABYTE) for n in range(7)]
    made.env.run(made.env.all_of(senders))
    rate = float(made.topology.link_bandwidth_bytes_per_s[made.topology.link_index("switch0>node7/nic0")])
    assert made.env.now == pytest.approx(7 * GIGABYTE / rate, rel=1e-3)
    for sender in senders:
        assert held_by(made.trace.rows[sender.value].shares) == link_resource("switch0>node7/nic0")


def test_pcie_that_is_slower_than_the_adapter_holds_a_transfer_back_and_is_named():
    made = world("star", 2, fabric={"bandwidth": "800 Gbit/s"})
    shares = shares_of(made, made.transfer("node0/gpu0", "node1/gpu0", GIGABYTE))
    kinds = dict(zip(made.topology.link_names, made.topology.link_kind, strict=True))
    holder = held_by(shares).removeprefix("network_bandwidth:")
    assert kinds[holder] == "pcie"
    assert made.env.now == pytest.approx(GIGABYTE / 48e9, rel=1e-3)
    assert shares[held_by(shares)] > 0.99 * made.env.now
