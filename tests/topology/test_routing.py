import itertools
import subprocess
import sys
from collections import Counter

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import CannotRunError, InputError
from clustersim.topology import from_graph


def switch_graph(switches, cables, homes):
    """Switches joined by cables (repeated ones are parallel), one GPU on each home."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from((f"s{n}" for n in range(switches)), kind="switch")
    pairs = [(f"s{one}", f"s{other}") for one, other in cables]
    for n, home in enumerate(homes):
        graph.add_node(f"g{n}", kind="gpu", node=f"node{n}", accelerator="a100-sxm4-40gb")
        pairs.append((f"g{n}", f"s{home}"))
    for one, other in pairs:
        for ends in ((one, other), (other, one)):
            graph.add_edge(*ends, bandwidth_bytes_per_s=1e9, latency_s=1e-6, kind="ethernet")
    return graph


@st.composite
def connected_graphs(draw):
    count = draw(st.integers(1, 8))
    tree = [(draw(st.integers(0, n - 1)), n) for n in range(1, count)]
    vertex = st.integers(0, count - 1)
    extra = draw(st.lists(st.tuples(vertex, vertex).filter(lambda ends: ends[0] != ends[1]), max_size=8))
    homes = draw(st.lists(vertex, min_size=2, max_size=6))
    return switch_graph(count, tree + extra, homes)


@given(graph=connected_graphs(), seed=st.integers(0, 2**40), connection=st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_every_route_is_a_path_of_fewest_links_that_no_other_gpu_forwards(graph, seed, connection):
    topology = from_graph(graph, seed=seed)
    for source in topology.gpus:
        for target in topology.gpus:
            others = set(topology.gpus) - {source, target}
            fewest = nx.shortest_path_length(graph.subgraph(set(graph) - others), source, target)
            route = topology.route(source, target, connection=connection)
            assert len(route) == fewest
            vertices = [source, *(topology.link_ends[link][1] for link in route)]
            assert [topology.link_ends[link] for link in route] == list(itertools.pairwise(vertices))
            assert vertices[-1] == target


def test_ecmp_spreads_connections_evenly_over_the_spines(make):
    topology = make("leaf-spine", 2, "a100-40gb-x4", nodes_per_leaf=1, spines=4)
    draws = 4000
    spines = Counter()
    for connection in range(draws):
        route = topology.route("node0/gpu0", "node1/gpu0", connection=connection)
        spines.update(one for link in route if (one := topology.link_ends[link][0]).startswith("spine"))
    assert len(spines) == 4
    five_sigma = 5 * (draws * 0.25 * 0.75) ** 0.5
    assert all(abs(count - draws / 4) < five_sigma for count in spines.values())


def test_ecmp_spreads_over_parallel_links():
    topology = from_graph(switch_graph(2, [(0, 1)] * 3, [0, 1]))
    names = {topology.link_names[topology.route("g0", "g1", connection=n)[1]] for n in range(60)}
    assert names == {"s0>s1#0", "s0>s1#1", "s0>s1#2"}


def test_ecmp_choices_at_two_tiers_are_independent(make):
    topology = make("fat-tree", 54, "t4-x1", k=6)
    pairs = Counter()
    for connection in range(1800):
        route = topology.route("node0/gpu0", "node53/gpu0", connection=connection)
        pairs[topology.link_names[route[3]], topology.link_names[route[4]]] += 1
    assert len(pairs) == 9
    assert all(120 < count < 290 for count in pairs.values())


def test_another_seed_gives_other_paths_and_single_path_always_the_first(make):
    ends = "node0/gpu0", "node1/gpu0"
    shape = {"nodes_per_leaf": 1, "spines": 8}
    paths = {make("leaf-spine", 2, seed=seed, **shape).route(*ends) for seed in range(20)}
    assert len(paths) > 3
    single = make("leaf-spine", 2, fabric={"routing": "single-path"}, **shape)
    assert {single.route(*ends, connection=n) for n in range(20)} == {single.route(*ends)}
    assert "leaf0>spine0" in {single.link_names[link] for link in single.route(*ends)}


_PRINT_ROUTES = """
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build
spec = {"topology": {"kind": "rail-optimized", "nodes": 4, "node": "dgx-h100", "nodes_per_group": 2}}
topology = build(ClusterSpec.model_validate(spec), seed=5)
print([topology.route("node0/gpu0", "node3/gpu2", connection=n) for n in range(30)])
"""


def test_routes_are_the_same_in_every_process_whatever_pythons_hash_seed():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_ROUTES],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_path_to_oneself_has_no_links_and_no_latency(make):
    topology = make("star", 1)
    assert topology.route("node0/gpu0", "node0/gpu0") == ()
    assert topology.latency_s(()) == 0.0


def test_latency_of_a_route_is_the_sum_of_its_links(make):
    topology = make("star", 2)
    route = topology.route("node0/gpu0", "node1/gpu0")
    assert topology.latency_s(route) == pytest.approx(2 * 0.5e-6 + 2 * 0.575e-6)


def test_links_between_islands_are_missed_by_name():
    graph = switch_graph(2, [], [0, 0, 1])
    with pytest.raises(CannotRunError, match="no path leads from 'g0' to 'g2'") as caught:
        from_graph(graph)
    assert [problem.path for problem in caught.value.problems] == [("vertices", "g2")]


def test_a_link_in_one_direction_only_is_taken_in_that_direction_only():
    graph = switch_graph(2, [(0, 1)], [0, 1])
    graph.remove_edge("s1", "s0")
    with pytest.raises(CannotRunError, match="no path leads from 'g1' to 'g0'"):
        from_graph(graph)


def test_adapters_cabled_back_to_back_need_no_switch():
    graph = switch_graph(0, [], [])
    for name in ("a", "b"):
        graph.add_node(f"{name}/gpu", kind="gpu", node=name, accelerator="l4")
        graph.add_node(f"{name}/nic", kind="nic")
    fields = {"bandwidth_bytes_per_s": 1e9, "latency_s": 0.0, "kind": "ethernet"}
    for one, other in (("a/gpu", "a/nic"), ("a/nic", "b/nic"), ("b/nic", "b/gpu")):
        graph.add_edge(one, other, **fields)
        graph.add_edge(other, one, **fields)
    topology = from_graph(graph)
    names = [topology.link_names[link] for link in topology.route("a/gpu", "b/gpu")]
    assert names == ["a/gpu>a/nic", "a/nic>b/nic", "b/nic>b/gpu"]
    assert topology.attachment("a") == "b/nic"


def test_a_node_on_two_switches_survives_on_the_one_that_leads_there():
    graph = switch_graph(3, [(0, 1)], [0, 1])
    graph.add_edge("g0", "s2", bandwidth_bytes_per_s=1e9, latency_s=0.0, kind="ethernet")
    topology = from_graph(graph)
    assert {len(topology.route("g0", "g1", connection=n)) for n in range(10)} == {3}


def test_one_search_serves_all_gpus_on_a_switch_and_none_is_made_for_all_pairs(make):
    topology = make("leaf-spine", 32, nodes_per_leaf=8)
    before = topology.route_searches
    for source, target in zip(topology.gpus, topology.gpus[64:], strict=False):
        topology.route(source, target)
    assert topology.route_searches - before <= 3


def test_names_that_are_no_vertex_or_no_link_raise_with_the_nearest_one(make):
    topology = make("star", 2)
    with pytest.raises(InputError, match=r"no vertex 'node0/gpu99'. Did you mean 'node0/gpu"):
        topology.route("node0/gpu99", "node1/gpu0")
    with pytest.raises(InputError, match=r"no link 'node0/nic0>switch1'. Did you mean 'node0/nic0>switch0'"):
        topology.link_index("node0/nic0>switch1")
    with pytest.raises(InputError, match="'switch0' is a switch, not a GPU"):
        topology.memory_bytes("switch0")
    with pytest.raises(InputError, match=r"no node 'node7'. Did you mean"):
        topology.attachment("node7")
    with pytest.raises(InputError, match="'switch0' is part of the fabric, not of a node"):
        topology.node_of("switch0")


def test_links_and_gpus_are_listed_in_rank_order_and_never_change(make):
    topology = make("star", 12)
    assert topology.gpus[:9] == (*(f"node0/gpu{n}" for n in range(8)), "node1/gpu0")
    assert topology.gpus[-1] == "node11/gpu7"
    assert [topology.link_index(name) for name in topology.link_names] == list(
        range(len(topology.link_names))
    )
    assert topology.memory_bytes("node0/gpu0") > 79e9
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        topology.graph.add_node("more")
    with pytest.raises(ValueError, match="read-only"):
        topology.link_bandwidth_bytes_per_s[0] = 1.0
