import networkx as nx
import pytest

from clustersim.topology import describe, from_graph
from clustersim.topology.levels import levels_of


def test_the_text_says_what_the_command_line_prints(make):
    topology = make(
        *("leaf-spine", 20, "a100-40gb-x4"),
        nodes_per_leaf=5,
        oversubscription=4,
        fabric={"link": "ethernet-100g"},
    )
    assert str(describe(topology)).splitlines() == [
        "nodes             20 with 80 × a100-sxm4-40gb",
        "switches          4 leaf, 5 spine",
        "links             scale-up: 80 × nvlink, 2,065 Gbit/s usable each way, 0.25 us",
        "                  pcie: 200 × pcie, 192 Gbit/s usable each way, 0.25 us",
        "                  nic: 80 × ethernet, 92 Gbit/s usable each way, 1 us",
        "                  leaf-spine: 20 × ethernet, 92 Gbit/s usable each way, 0.5 us",
        "oversubscription  leaf 4 : 1",
        "bisection         920 Gbit/s, 25.0% of injection",
        "diameter          4 links between network ports",
        "path diversity    5 shortest paths between the farthest",
        "all-to-all        30.28 Gbit/s per GPU, limited by leaf-spine (leaf0>spine0)",
        "                  busiest link of each tier then: scale-up 0.1%, pcie 15.2%, nic 31.7%, "
        "leaf-spine 100.0%",
    ]


def test_a_single_node_has_no_bisection(make):
    summary = describe(make("star", 1, "dgx-h100"))
    assert summary.bisection_bytes_per_s is None
    assert summary.diameter_links == 2
    assert "bisection" not in str(summary)


def test_bisection_equals_the_exact_maximum_flow_on_the_standard_topologies(make):
    for topology in (
        make("leaf-spine", 6, "a100-40gb-x4", nodes_per_leaf=2, oversubscription=3),
        make("fat-tree", 16, "t4-x1", oversubscription=2),
        make("rail-optimized", 4, "a100-40gb-x4", nodes_per_group=2, oversubscription=2),
    ):
        flow = nx.DiGraph()
        half = set(list(topology.gpus_by_node)[: len(topology.gpus_by_node) // 2])
        for (source, target), rate in zip(
            topology.link_ends, topology.link_bandwidth_bytes_per_s, strict=True
        ):
            ends = [
                vertex if "/" not in vertex else ("first" if vertex.split("/")[0] in half else "second")
                for vertex in (source, target)
            ]
            if ends[0] != ends[1]:
                known = flow.get_edge_data(*ends, default={"capacity": 0.0})["capacity"]
                flow.add_edge(*ends, capacity=known + float(rate))
        exact = nx.maximum_flow_value(flow, "first", "second")
        assert describe(topology).bisection_bytes_per_s == pytest.approx(exact)


def test_tiers_of_a_graph_of_ones_own_are_counted_from_the_nodes(make):
    topology = make("leaf-spine", 4, "a100-40gb-x4", nodes_per_leaf=2)
    graph = nx.MultiDiGraph(topology.graph)
    for _, fields in graph.nodes(data=True):
        fields.pop("level", None)
    again = from_graph(graph)
    assert levels_of(again) == levels_of(topology)
    assert describe(again) == describe(topology)


def test_switches_without_a_common_name_are_called_by_their_level(two_gpus):
    summary = describe(from_graph(nx.relabel_nodes(two_gpus, {"switch": "7"})))
    assert summary.switches == {"level 1": 1}
    assert summary.diameter_links == 2


def test_a_ring_of_switches_has_the_bisection_of_its_cut():
    graph = nx.MultiDiGraph()
    for n in range(4):
        graph.add_node(f"s{n}", kind="switch")
        graph.add_node(f"g{n}", kind="gpu", node=f"n{n}", accelerator="l4")
    for n in range(4):
        for one, other, rate in ((f"s{n}", f"s{(n + 1) % 4}", 1e9), (f"g{n}", f"s{n}", 9e9)):
            for ends in ((one, other), (other, one)):
                graph.add_edge(*ends, bandwidth_bytes_per_s=rate, latency_s=0.0, kind="ethernet")
    summary = describe(from_graph(graph))
    assert summary.bisection_bytes_per_s == pytest.approx(2e9)
    assert summary.diameter_links == 4
