"""Spray, adaptive routing and several connections per pair: what each link carries."""

from __future__ import annotations

from collections import Counter, defaultdict

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.topology import from_graph

RATE = 1e9


def switch_graph(switches, cables, homes):
    """Switches joined by cables (repeated ones are parallel), one GPU on each home."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from((f"s{n}" for n in range(switches)), kind="switch")
    pairs = [(f"s{one}", f"s{other}", 1e-6 * (n + 1)) for n, (one, other) in enumerate(cables)]
    for n, home in enumerate(homes):
        graph.add_node(f"g{n}", kind="gpu", node=f"node{n}", accelerator="a100-sxm4-40gb")
        pairs.append((f"g{n}", f"s{home}", 1e-6))
    for one, other, latency_s in pairs:
        for ends in ((one, other), (other, one)):
            graph.add_edge(*ends, bandwidth_bytes_per_s=RATE, latency_s=latency_s, kind="ethernet")
    return graph


@st.composite
def connected_graphs(draw):
    count = draw(st.integers(1, 8))
    tree = [(draw(st.integers(0, n - 1)), n) for n in range(1, count)]
    vertex = st.integers(0, count - 1)
    extra = draw(st.lists(st.tuples(vertex, vertex).filter(lambda ends: ends[0] != ends[1]), max_size=10))
    homes = draw(st.lists(vertex, min_size=2, max_size=5))
    return switch_graph(count, tree + extra, homes)


def surplus(topology, path):
    """Bytes that leave each vertex less bytes that arrive, per byte of the transfer."""
    left = defaultdict(float)
    for link, weight in zip(path.links, path.weights, strict=True):
        source, target = topology.link_ends[link]
        left[source] += weight
        left[target] -= weight
    return {vertex: value for vertex, value in left.items() if abs(value) > 1e-12}


def pairs(topology):
    return [(one, other) for one in topology.gpus for other in topology.gpus if one != other]


@given(
    graph=connected_graphs(),
    routing=st.sampled_from(["ecmp", "single-path", "spray", "adaptive"]),
    connections=st.integers(1, 5),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=120, deadline=None)
def test_every_byte_that_leaves_the_source_arrives_at_the_target_under_every_routing(
    graph, routing, connections, seed
):
    topology = from_graph(graph, seed=seed, routing=routing, connections=connections)
    for source, target in pairs(topology):
        path = topology.path(source, target)
        assert surplus(topology, path) == {
            source: pytest.approx(1.0),
            target: pytest.approx(-1.0),
        }
        assert len(set(path.links)) == len(path.links)
        assert all(0.0 < weight <= 1.0 + 1e-12 for weight in path.weights)
        assert path.connections == connections
        assert sum(path.weights) == pytest.approx(len(topology.route(source, target)))
        assert topology.path(source, target) == path


@given(graph=connected_graphs(), seed=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_spray_uses_every_shortest_path_in_equal_parts_at_each_hop(graph, seed):
    topology = from_graph(graph, seed=seed, routing="spray")
    for source, target in pairs(topology):
        weight = dict(zip(*topology.path(source, target)[:2], strict=True))
        others = set(topology.gpus) - {source, target}
        inner = graph.subgraph(set(graph) - others)
        far = nx.single_target_shortest_path_length(inner, target)
        part = defaultdict(float, {source: 1.0})
        for vertex in sorted(set(far), key=lambda vertex: -far[vertex]):
            ahead = [
                n
                for n, (one, other) in enumerate(topology.link_ends)
                if one == vertex and other in far and far[other] == far[vertex] - 1
            ]
            for link in ahead:
                assert weight.get(link, 0.0) == pytest.approx(part[vertex] / len(ahead), abs=1e-12)
                part[topology.link_ends[link][1]] += part[vertex] / len(ahead)


@given(graph=connected_graphs(), seed=st.integers(0, 2**40), connections=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_latency_is_that_of_the_longest_part(graph, seed, connections):
    spray = from_graph(graph, seed=seed, routing="spray")
    ecmp = from_graph(graph, seed=seed, connections=connections)
    for source, target in pairs(spray):
        parts = [ecmp._router.route(*map(ecmp._index.get, (source, target)), n) for n in range(connections)]
        longest_s = ecmp.path(source, target).latency_s
        assert longest_s == pytest.approx(max(map(ecmp.latency_s, parts)))
        assert longest_s <= spray.path(source, target).latency_s * (1 + 1e-12)


@pytest.mark.parametrize("routing", ["ecmp", "single-path", "adaptive"])
def test_with_one_connection_nothing_else_laid_and_one_path_the_path_is_the_route(make, routing):
    topology = make("fat-tree", 16, "t4-x1", fabric={"routing": routing}, k=4, seed=3)
    source, target = "node1/gpu0", "node14/gpu0"
    path = topology.path(source, target)
    assert path.links == topology.route(source, target)
    assert path.weights == (1.0,) * len(path.links)
    assert path.latency_s == topology.latency_s(path.links)
    assert path.flow_weights == path.weights


def test_a_path_to_oneself_is_empty_under_every_routing(make):
    for routing in ("ecmp", "spray", "adaptive"):
        topology = make("star", 1, fabric={"routing": routing, "connections": 3})
        assert topology.path("node0/gpu0", "node0/gpu0") == ((), (), 1, 0.0)


def test_a_pair_inside_a_node_has_one_connection_however_many_queue_pairs_there_are(make):
    topology = make("star", 2, fabric={"connections": 4})
    assert topology.path("node0/gpu0", "node0/gpu5").connections == 1
    assert topology.path("node0/gpu0", "node1/gpu0").connections == 4


def test_spray_keeps_the_gpus_own_adapter_and_uses_all_spines(make):
    topology = make("rail-optimized", 4, fabric={"routing": "spray"}, nodes_per_group=2)
    path = topology.path("node0/gpu5", "node3/gpu5")
    weight = {topology.link_names[link]: value for link, value in zip(*path[:2], strict=True)}
    assert weight["node0/nic5>rail0.5"] == weight["rail1.5>node3/nic5"] == 1.0
    spines = {name: value for name, value in weight.items() if "spine" in name}
    assert len(spines) == 2 * 2
    assert set(spines.values()) == {0.5}


def test_each_of_several_connections_is_hashed_on_its_own_and_carries_an_equal_part(make):
    one = make("leaf-spine", 2, "t4-x1", nodes_per_leaf=1, spines=4, seed=2)
    eight = make("leaf-spine", 2, "t4-x1", fabric={"connections": 8}, nodes_per_leaf=1, spines=4, seed=2)
    ends = "node0/gpu0", "node1/gpu0"
    crossing = Counter(link for n in range(8) for link in one.route(*ends, connection=n))
    path = eight.path(*ends)
    assert dict(zip(path.links, path.flow_weights, strict=True)) == crossing
    second = Counter(link for n in range(8, 16) for link in one.route(*ends, connection=n))
    path = eight.path(*ends, connection=1)
    assert dict(zip(path.links, path.flow_weights, strict=True)) == second


def test_ecmp_spreads_connections_over_paths_as_chance_would(make):
    topology = make("fat-tree", 54, "t4-x1", k=6, seed=5)
    draws = 3000
    counts = Counter(topology.route("node0/gpu0", "node53/gpu0", connection=n) for n in range(draws))
    assert len(counts) == 9
    expected = draws / 9
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 26.1  # 8 degrees of freedom: exceeded with probability 0.001


def collisions(topology, moves):
    """Connections beyond the first on each link between switches."""
    load = Counter(link for source, target in moves for link in topology.path(source, target).links)
    return sum(count - 1 for link, count in load.items() if topology.link_tier[link] == "leaf-spine")


@given(order=st.permutations(range(8)), seed=st.integers(0, 2**30))
@settings(max_examples=40, deadline=None)
def test_adaptive_never_collides_more_than_ecmp_between_two_leaves(make, order, seed):
    shape = {"nodes_per_leaf": 8, "spines": 8, "seed": seed}
    made = {
        routing: make("leaf-spine", 16, "t4-x1", fabric={"routing": routing}, **shape)
        for routing in ("ecmp", "adaptive")
    }
    moves = [(f"node{n}/gpu0", f"node{8 + other}/gpu0") for n, other in enumerate(order)]
    assert collisions(made["adaptive"], moves) == 0 <= collisions(made["ecmp"], moves)


def test_adaptive_collides_far_less_than_ecmp_in_permutations_over_many_leaves(make):
    found = Counter()
    for seed in range(5):
        for routing in ("ecmp", "adaptive"):
            topology = make(
                "leaf-spine", 48, "t4-x1", fabric={"routing": routing}, nodes_per_leaf=6, seed=seed
            )
            gpus = topology.gpus
            moves = [(gpu, gpus[(7 * n + 11) % 48]) for n, gpu in enumerate(gpus)]
            moves = [(one, other) for one, other in moves if one != other]
            found[routing] += collisions(topology, moves)
    assert found["adaptive"] < 0.35 * found["ecmp"]


def test_an_adaptive_connection_stays_where_it_was_laid_and_others_go_round_it(make):
    topology = make(
        "leaf-spine", 4, "t4-x1", fabric={"routing": "adaptive"}, nodes_per_leaf=2, spines=2, seed=1
    )
    first = topology.path("node0/gpu0", "node2/gpu0")
    second = topology.path("node1/gpu0", "node3/gpu0")
    assert not set(first.links) & set(second.links)
    assert topology.path("node0/gpu0", "node2/gpu0") == first


def test_adaptive_counts_connections_in_proportion_to_capacity():
    graph = switch_graph(4, [(0, 1), (1, 3), (0, 2), (2, 3)], [0, 3])
    for one, other in (("s0", "s1"), ("s1", "s3")):
        graph.edges[one, other, 0]["bandwidth_bytes_per_s"] = 3 * RATE
    topology = from_graph(graph, routing="adaptive")
    via = Counter()
    for n in range(8):
        names = {topology.link_names[link] for link in topology.path("g0", "g1", connection=n).links}
        via["s0>s1" in names] += 1
    assert via == {True: 6, False: 2}


def test_a_momentary_path_takes_the_least_used_way_and_lays_nothing(make):
    topology = make(
        "leaf-spine", 4, "t4-x1", fabric={"routing": "adaptive"}, nodes_per_leaf=2, spines=4, seed=1
    )
    busy = {topology.link_index(f"leaf0>spine{n}"): 0.5 + n / 10 for n in (0, 1, 3)}
    path = topology.momentary_path("node0/gpu0", "node2/gpu0", lambda link: busy.get(link, 0.2))
    assert "leaf0>spine2" in {topology.link_names[link] for link in path.links}
    first = topology.path("node0/gpu0", "node2/gpu0")
    assert first.links == topology.route("node0/gpu0", "node2/gpu0")
