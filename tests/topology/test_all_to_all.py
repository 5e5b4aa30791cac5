"""The loads of an all-to-all, computed for whole leaves at once, against the routes of all pairs."""

import networkx as nx
import numpy as np
import pytest

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe, from_graph
from clustersim.topology.all_to_all import UniformTraffic

CASES = [
    {"kind": "star", "nodes": 2, "node": "dgx-a100"},
    {"kind": "leaf-spine", "nodes": 4, "node": "p4d", "nodes_per_leaf": 2, "oversubscription": 4},
    {"kind": "leaf-spine", "nodes": 3, "node": "a100-40gb-x4", "nodes_per_leaf": 2, "planes": 2},
    {"kind": "fat-tree", "nodes": 3, "node": "l40s-x8"},
    {"kind": "rail-optimized", "nodes": 3, "node": "dgx-h100", "nodes_per_group": 2, "oversubscription": 2},
    {"kind": "rail-only", "nodes": 2, "node": "dgx-h100"},
    {"kind": "dragonfly", "nodes": 6, "node": "t4-x4", "adapters_per_router": 1},
    {"kind": "torus", "dimensions": [4, 2], "node": "tpu-v5e"},
    {"kind": "torus", "dimensions": [4, 2], "wrap": [False, False], "node": "tpu-v5e"},
    {"kind": "torus", "dimensions": [3, 2], "node": "t4-x4"},
    {"kind": "hyperx", "dimensions": [3, 2], "node": "t4-x1", "nodes_per_switch": 2},
    {"kind": "full-mesh", "nodes": 3, "node": "dgx-a100"},
]


def loads_of_all_routes(topology):
    """Sum the weights of the sprayed path of each pair: an equal split at each hop."""
    loads = np.zeros(len(topology.link_names))
    for source in topology.gpus:
        for target in topology.gpus:
            if source != target:
                path = topology.path(source, target)
                np.add.at(loads, list(path.links), path.weights)
    return loads


def use_by_tier(topology, loads):
    use = loads / topology.link_bandwidth_bytes_per_s / (len(topology.gpus) - 1)
    tiers = np.array(topology.link_tier)
    return {tier: use[tiers == tier].max() for tier in set(topology.link_tier)}


@pytest.mark.parametrize("topology", CASES, ids=lambda case: case["kind"])
@pytest.mark.parametrize("routing", ["spray", "single-path"])
def test_the_busiest_link_of_each_tier_is_that_of_the_sum_over_all_pairs(topology, routing):
    built = build(ClusterSpec.model_validate({"topology": topology, "fabric": {"routing": routing}}))
    exact = use_by_tier(built, loads_of_all_routes(built))
    result = UniformTraffic(built).all_to_all()
    assert result.rate_per_gpu_bytes_per_s == pytest.approx(1 / max(exact.values()))
    assert result.utilisation == pytest.approx(
        {tier: use * result.rate_per_gpu_bytes_per_s for tier, use in exact.items()}, abs=1e-12
    )
    assert exact[result.tier] == pytest.approx(max(exact.values()))


def test_it_holds_on_a_graph_of_ones_own_with_nodes_of_two_kinds(two_gpus):
    two_gpus.add_node("spare", kind="switch")
    for name in ("c", "d"):
        two_gpus.add_node(f"{name}/gpu", kind="gpu", node=name, accelerator="l4")
        two_gpus.add_node(f"{name}/nic", kind="nic")
        for one, other in (
            (f"{name}/gpu", f"{name}/nic"),
            (f"{name}/nic", "switch"),
            (f"{name}/nic", "spare"),
        ):
            for ends in ((one, other), (other, one)):
                two_gpus.add_edge(*ends, bandwidth_bytes_per_s=5e9, latency_s=0.0, kind="ethernet")
    topology = from_graph(two_gpus, routing="spray")
    exact = use_by_tier(topology, loads_of_all_routes(topology))
    assert UniformTraffic(topology).all_to_all().rate_per_gpu_bytes_per_s == pytest.approx(
        1 / max(exact.values())
    )


def test_equal_ways_through_a_node_share_its_lanes_evenly(make):
    """On the hybrid cube mesh some pairs have several GPUs that could relay; ECMP takes each in turn."""
    topology = make("star", 1, "dgx-1v")
    rounds, loads = 200, np.zeros(len(topology.link_names))
    for source in topology.gpus:
        for target in topology.gpus:
            for connection in range(rounds if source != target else 0):
                loads[list(topology.route(source, target, connection=connection))] += 1 / rounds
    result = UniformTraffic(topology).all_to_all()
    assert result.rate_per_gpu_bytes_per_s == pytest.approx(
        1 / max(use_by_tier(topology, loads).values()), rel=0.1
    )


def test_ports_limit_a_fabric_that_never_blocks_and_uplinks_one_that_does(make):
    shape = {"nodes_per_leaf": 2, "fabric": {"link": "ethernet-100g"}}
    free = describe(make("leaf-spine", 8, "a100-40gb-x4", **shape)).all_to_all
    tight = describe(make("leaf-spine", 8, "a100-40gb-x4", oversubscription=4, **shape)).all_to_all
    assert (free.tier, tight.tier) == ("nic", "leaf-spine")
    assert tight.link == "leaf0>spine0"
    leaving, across = 28 / 31, 24 / 31
    assert free.injection_share == pytest.approx(1.0)
    assert tight.injection_share == pytest.approx(leaving / across / 4)


def test_a_single_gpu_has_no_all_to_all(make):
    summary = describe(make("star", 1, "t4-x1"))
    assert summary.all_to_all is None
    assert "all-to-all" not in str(summary)


@pytest.mark.parametrize("dimensions", [[4, 4], [8, 2], [4, 4, 2]])
def test_one_destination_stands_for_all_where_the_builder_says_that_links_are_alike(dimensions):
    node = "tpu-v5e" if len(dimensions) == 2 else "tpu-v4"
    spec = {"topology": {"kind": "torus", "dimensions": dimensions, "node": node}}
    torus = build(ClusterSpec.model_validate(spec))
    plain = nx.MultiDiGraph(torus.graph)
    assert plain.graph.pop("symmetric") is True
    fast, slow = UniformTraffic(torus), UniformTraffic(from_graph(plain))
    assert fast.all_to_all().utilisation == pytest.approx(slow.all_to_all().utilisation)
    assert fast.all_to_all().rate_per_gpu_bytes_per_s == pytest.approx(
        slow.all_to_all().rate_per_gpu_bytes_per_s
    )
    assert fast.reach() == slow.reach()


def test_a_torus_whose_links_were_changed_is_not_taken_as_symmetric():
    spec = {"topology": {"kind": "torus", "dimensions": [4, 4], "node": "tpu-v5e"}}
    graph = nx.MultiDiGraph(build(ClusterSpec.model_validate(spec)).graph)
    ends = "node0/gpu0", "node0/gpu1"
    graph.edges[*ends, 0]["bandwidth_bytes_per_s"] /= 4
    result = UniformTraffic(from_graph(graph)).all_to_all()
    assert result.link == ">".join(ends)


def test_1024_gpus_cost_one_search_per_switch_that_they_hang_on(make, monkeypatch):
    from clustersim.topology._sweep import Fabric

    searches = []
    toward = Fabric.toward
    monkeypatch.setattr(Fabric, "toward", lambda self, places: searches.append(1) or toward(self, places))
    UniformTraffic(make("rail-optimized", 128, nodes_per_group=32))
    assert len(searches) == 4 * 8
