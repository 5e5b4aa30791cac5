"""Paths where GPUs forward, where nodes relay between rails, and out of nodes with few adapters."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, from_graph


def names(topology, links):
    return [topology.link_names[link] for link in links]


def grid_of_chips(sizes, *, chips_per_host=1):
    """A torus whose chips forward themselves; consecutive chips share a host."""
    graph = nx.MultiDiGraph()
    places = list(itertools.product(*map(range, sizes)))
    for n, at in enumerate(places):
        graph.add_node(
            f"chip{n}", kind="gpu", node=f"host{n // chips_per_host}", accelerator="tpu-v4", forwards=True
        )
        graph.nodes[f"chip{n}"]["coordinates"] = at
    number = {at: n for n, at in enumerate(places)}
    for at in places:
        for axis, size in enumerate(sizes):
            beside = (*at[:axis], (at[axis] + 1) % size, *at[axis + 1 :])
            for ends in itertools.permutations((f"chip{number[at]}", f"chip{number[beside]}")):
                if not graph.has_edge(*ends) and ends[0] != ends[1]:
                    graph.add_edge(*ends, bandwidth_bytes_per_s=45e9, latency_s=1e-6, kind="ici")
    graph.graph["dimensions"] = sizes
    return graph


def torus_hops(one, other, sizes):
    return sum(min((a - b) % size, (b - a) % size) for a, b, size in zip(one, other, sizes, strict=True))


@given(
    sizes=st.lists(st.integers(2, 5), min_size=1, max_size=3).map(tuple),
    chips_per_host=st.sampled_from([1, 2, 4]),
    routing=st.sampled_from(["ecmp", "spray", "adaptive"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_chips_that_forward_are_reached_over_the_fewest_chips_round_the_torus(
    sizes, chips_per_host, routing, seed
):
    topology = from_graph(grid_of_chips(sizes, chips_per_host=chips_per_host), seed=seed, routing=routing)
    assert topology.dimensions == sizes
    first = topology.gpus[0]
    for chip in topology.gpus[1:]:
        far = torus_hops(topology.coordinates(first), topology.coordinates(chip), sizes)
        assert len(topology.route(first, chip)) == far
        path = topology.path(first, chip)
        assert sum(path.weights) == pytest.approx(far)
        assert path.latency_s == pytest.approx(far * 1e-6)


def test_a_gpu_that_does_not_say_so_forwards_nothing_between_nodes():
    graph = grid_of_chips((4,))
    for chip in graph:
        del graph.nodes[chip]["forwards"]
    topology = from_graph(graph.edge_subgraph([("chip0", "chip1", 0), ("chip1", "chip0", 0)]))
    assert topology.coordinates("chip1") == (1,)
    with pytest.raises(Exception, match="no path leads from 'chip0' to 'chip2'"):
        from_graph(graph)


def rail_only(node="dgx-h100", nodes=3):
    return build(
        ClusterSpec.model_validate({"topology": {"kind": "rail-only", "nodes": nodes, "node": node}})
    )


def test_the_same_rail_goes_straight_and_another_is_relayed_over_the_gpu_of_that_rail():
    topology = rail_only()
    straight = names(topology, topology.route("node0/gpu2", "node1/gpu2"))
    assert "nvswitch" not in " ".join(straight)
    relayed = names(topology, topology.route("node0/gpu2", "node1/gpu5"))
    assert relayed[:2] == ["node0/gpu2>node0/nvswitch", "node0/nvswitch>node0/gpu5"]
    assert "node0/nic5>rail5" in relayed
    assert "rail5>node1/nic5" in relayed
    assert relayed[-1].endswith(">node1/gpu5")
    ends = [link.split(">") for link in relayed]
    assert all(one[1] == other[0] for one, other in itertools.pairwise(ends))


def test_every_pair_of_a_rail_only_cluster_is_joined_under_every_routing(make):
    for routing in ("ecmp", "spray", "adaptive"):
        topology = make("rail-only", 3, fabric={"routing": routing})
        for source, target in itertools.permutations(topology.gpus[::3], 2):
            links = topology.path(source, target).links
            assert topology.link_ends[links[0]][0] == source
            assert topology.link_ends[links[-1]][1] == target


def node_graph(*, gpus, nics, pairs, nodes=2, rails=False):
    """Nodes wired inside as `pairs` say; their adapters on one switch, or on a rail each."""
    graph = nx.MultiDiGraph()
    cables = []
    for node in range(nodes):
        name = f"node{node}"
        for n in range(gpus):
            graph.add_node(f"{name}/gpu{n}", kind="gpu", node=name, accelerator="l40s")
        for n in range(nics):
            graph.add_node(f"{name}/nic{n}", kind="nic", node=name)
            cables.append((f"{name}/nic{n}", f"rail{n}" if rails else "switch"))
        for one, other in pairs:
            cables.append((f"{name}/{one}", f"{name}/{other}"))
    for vertex in {vertex for pair in cables for vertex in pair} - set(graph):
        inner = {"node": vertex.partition("/")[0]} if "/" in vertex else {}
        graph.add_node(vertex, kind="host" if vertex.endswith("host") else "switch", **inner)
    for one, other in cables:
        for ends in ((one, other), (other, one)):
            graph.add_edge(*ends, bandwidth_bytes_per_s=1e9, latency_s=0.0, kind="pcie")
    return graph


def test_without_scale_up_links_another_rail_is_reached_over_the_host():
    pairs = [("gpu0", "host"), ("gpu1", "host"), ("nic0", "host"), ("nic1", "host")]
    pairs += [("gpu0", "nic0"), ("gpu1", "nic1")]
    topology = from_graph(node_graph(gpus=2, nics=2, pairs=pairs, rails=True))
    relayed = names(topology, topology.route("node0/gpu0", "node1/gpu1"))
    assert relayed == [
        "node0/gpu0>node0/host",
        "node0/host>node0/nic1",
        "node0/nic1>rail1",
        "rail1>node1/nic1",
        "node1/nic1>node1/gpu1",
    ]


def test_gpus_that_see_the_same_adapters_take_turns():
    pairs = [(f"gpu{n}", f"pcie{n // 2}") for n in range(4)]
    pairs += [(f"nic{n}", f"pcie{n // 2}") for n in range(4)]
    pairs += [("pcie0", "host"), ("pcie1", "host")]
    topology = from_graph(node_graph(gpus=4, nics=4, pairs=pairs))
    assert [topology.rail(f"node0/gpu{n}") for n in range(4)] == [0, 1, 2, 3]
    assert names(topology, topology.route("node0/gpu1", "node1/gpu3")) == [
        "node0/gpu1>node0/pcie0",
        "node0/pcie0>node0/nic1",
        "node0/nic1>switch",
        "switch>node1/nic3",
        "node1/nic3>node1/pcie1",
        "node1/pcie1>node1/gpu3",
    ]
    assert len(topology.route("node0/gpu0", "node0/gpu1")) == 2
    assert len(topology.route("node0/gpu0", "node0/gpu2")) == 4


def test_the_ports_of_one_adapter_on_several_planes_are_hashed_and_never_mixed(make):
    topology = make("leaf-spine", 4, "t4-x1", nodes_per_leaf=2, planes=2)
    used = set()
    for connection in range(40):
        path = names(topology, topology.route("node0/gpu0", "node3/gpu0", connection=connection))
        planes = {
            vertex.partition("/")[0] for link in path for vertex in link.split(">") if "plane" in vertex
        }
        assert len(planes) == 1
        used |= planes
    assert used == {"plane0", "plane1"}


def test_a_dragonfly_takes_the_fewest_routers(make):
    topology = make("dragonfly", 36, "t4-x1", adapters_per_router=2)
    longest = 0
    for target in topology.gpus[1:]:
        path = names(topology, topology.route(topology.gpus[0], target))
        routers = [link for link in path if "router" in link.split(">")[0] and "router" in link.split(">")[1]]
        longest = max(longest, len(routers))
    assert longest == 3


def test_sites_are_reached_over_their_gateways():
    site = {"kind": "star", "nodes": 2, "node": "t4-x1"}
    spec = {
        "kind": "sites",
        "sites": [{"name": name, "topology": site} for name in ("basel", "oslo", "rome")],
        "links": [
            {"between": ["basel", "oslo"], "bandwidth": "10 Gbit/s", "latency": "9 ms"},
            {"between": ["oslo", "rome"], "bandwidth": "10 Gbit/s", "latency": "11 ms"},
        ],
    }
    topology = build(ClusterSpec.model_validate({"topology": spec}))
    path = topology.path("basel/node0/gpu0", "rome/node1/gpu0")
    wan = [name for name in names(topology, path.links) if name.count("gateway") == 2]
    assert wan == ["basel/gateway>oslo/gateway", "oslo/gateway>rome/gateway"]
    assert path.latency_s == pytest.approx(20e-3, rel=1e-2)


def test_shapes_without_coordinates_have_none(make):
    topology = make("star", 2)
    assert topology.dimensions is None
    assert topology.coordinates("node0/gpu0") is None
