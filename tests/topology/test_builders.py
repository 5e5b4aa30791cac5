import itertools
import math

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe

LINE_RATE = 400e9 / 8
USABLE = 48e9


def switches(topology, stem):
    return [vertex for vertex in topology.graph if vertex.startswith(stem)]


@pytest.mark.parametrize("k", [2, 4, 6, 8])
def test_a_full_fat_tree_has_the_counts_and_diameter_of_al_fares(make, k):
    hosts = k**3 // 4
    topology = make("fat-tree", hosts, "t4-x1")
    summary = describe(topology)
    assert summary.switches == {"edge": k * k // 2, "agg": k * k // 2, "core": k * k // 4}
    assert sum(summary.switches.values()) == 5 * k * k // 4
    assert summary.diameter_links == 6
    assert summary.oversubscription == {"edge": 1.0, "agg": 1.0}
    if k > 2:
        assert summary.bisection_bytes_per_s == pytest.approx(hosts / 2 * USABLE)


@pytest.mark.parametrize("k", [4, 6])
def test_a_fat_tree_has_a_quarter_k_squared_shortest_paths_between_pods(make, k):
    topology = make("fat-tree", k**3 // 4, "t4-x1")
    first, last = "node0/nic0", f"node{k**3 // 4 - 1}/nic0"
    assert len(list(nx.all_shortest_paths(nx.DiGraph(topology.graph), first, last))) == (k // 2) ** 2
    gpus = topology.gpus[0], topology.gpus[-1]
    assert len({topology.route(*gpus, connection=n) for n in range(400)}) == (k // 2) ** 2


def test_a_fat_tree_takes_the_smallest_even_k_with_enough_ports(make):
    for nodes, k in ((2, 4), (3, 6), (6, 6), (7, 8), (128, 16)):
        assert len(switches(make("fat-tree", nodes), "core")) == (k // 2) ** 2


def test_a_fat_tree_that_is_too_small_says_which_k_is_enough(make):
    with pytest.raises(
        InputError, match=r"topology\.k: k = 4 has 16 ports, 4 nodes have 32 adapters; .* 6 or more"
    ):
        make("fat-tree", 4, k=4)


def test_oversubscription_of_a_fat_tree_is_at_the_edge(make):
    summary = describe(make("fat-tree", 16, oversubscription=4, k=8))
    assert summary.oversubscription["edge"] == pytest.approx(4.0)
    assert summary.bisection_bytes_per_s == pytest.approx(summary.injection_bytes_per_s / 4)


@given(
    leaves=st.integers(1, 3).map(lambda n: 2 * n),
    nodes_per_leaf=st.integers(1, 4),
    oversubscription=st.floats(1.0, 8.0),
    spines=st.none() | st.integers(1, 9),
)
@settings(max_examples=30, deadline=None)
def test_a_leaf_spine_has_exactly_the_oversubscription_and_bisection_asked_for(
    make, leaves, nodes_per_leaf, oversubscription, spines
):
    topology = make(
        *("leaf-spine", leaves * nodes_per_leaf, "a100-40gb-x4"),
        nodes_per_leaf=nodes_per_leaf,
        oversubscription=oversubscription,
        spines=spines,
    )
    summary = describe(topology)
    below = nodes_per_leaf * 4 * USABLE
    assert summary.oversubscription["leaf"] == pytest.approx(oversubscription)
    assert summary.bisection_bytes_per_s == pytest.approx(leaves / 2 * below / oversubscription)
    assert summary.switches == {
        "leaf": leaves,
        "spine": spines or math.ceil(nodes_per_leaf * 4 / oversubscription),
    }
    assert summary.diameter_links == 4


def test_a_default_spine_link_has_the_fabrics_bandwidth_where_the_ratio_is_whole(make):
    topology = make("leaf-spine", 20, "a100-40gb-x4", nodes_per_leaf=5, oversubscription=4)
    assert len(switches(topology, "spine")) == 5
    link = topology.link_index("leaf0>spine4")
    assert topology.link_bandwidth_bytes_per_s[link] == pytest.approx(USABLE)


def test_nodes_fill_leaves_in_order(make):
    topology = make("leaf-spine", 7, "a100-40gb-x4", nodes_per_leaf=3)
    assert [topology.attachment(f"node{n}") for n in range(7)] == ["leaf0"] * 3 + ["leaf1"] * 3 + ["leaf2"]


def test_a_rail_optimised_fabric_keeps_a_rail_on_one_switch_and_crosses_rails_over_a_spine(make):
    topology = make("rail-optimized", 6, nodes_per_group=3)
    tiers = lambda source, target: [topology.link_tier[link] for link in topology.route(source, target)]  # noqa: E731
    for rail, other in itertools.product(range(8), range(8)):
        inside_group = tiers(f"node0/gpu{rail}", f"node2/gpu{other}")
        across, pcie = ["rail-spine", "rail-spine"], ["pcie", "pcie"]
        assert inside_group == [*pcie, "nic", *([] if rail == other else across), "nic", *pcie]
    assert tiers("node0/gpu1", "node5/gpu1") == [*pcie, "nic", *across, "nic", *pcie]


def test_a_rail_optimised_fabric_has_the_oversubscription_asked_for(make):
    for oversubscription in (1.0, 2.0, 3.5):
        summary = describe(make("rail-optimized", 8, nodes_per_group=4, oversubscription=oversubscription))
        assert summary.oversubscription["rail"] == pytest.approx(oversubscription)
        assert summary.bisection_bytes_per_s == pytest.approx(4 * 8 * USABLE / oversubscription)


def test_a_star_never_blocks(make):
    summary = describe(make("star", 4))
    assert summary.bisection_bytes_per_s == pytest.approx(2 * 8 * USABLE)
    assert summary.diameter_links == 2
    assert summary.oversubscription == {}


def test_a_bandwidth_of_the_scenario_replaces_the_line_rate_and_keeps_the_efficiency(make):
    topology = make("leaf-spine", 2, nodes_per_leaf=1, fabric={"bandwidth": "800 Gbit/s"})
    for name in ("node0/nic0>leaf0", "leaf0>spine0"):
        rate = topology.link_bandwidth_bytes_per_s[topology.link_index(name)]
        assert rate == pytest.approx(USABLE * (100e9 / LINE_RATE))
    inside = topology.link_index("node0/gpu0>node0/nvswitch")
    assert topology.link_bandwidth_bytes_per_s[inside] == pytest.approx(370e9)


def test_a_latency_of_the_scenario_replaces_that_of_every_fabric_link(make):
    topology = make("leaf-spine", 2, nodes_per_leaf=1, fabric={"latency": "3 us"})
    by_tier = dict(zip(topology.link_tier, topology.link_latency_s, strict=True))
    assert by_tier["nic"] == by_tier["leaf-spine"] == 3e-6
    assert by_tier["scale-up"] == 0.25e-6


def test_unknown_names_are_all_reported_with_their_places():
    spec = {"topology": {"kind": "star", "nodes": 2, "node": "dgx-h10"}, "fabric": {"link": "infiniband-nrd"}}
    with pytest.raises(InputError) as caught:
        build(ClusterSpec.model_validate(spec))
    assert {problem.path for problem in caught.value.problems} == {("topology", "node"), ("fabric", "link")}
    assert "Did you mean 'dgx-h100'" in str(caught.value)


def test_the_shipped_topologies_build(root):
    import yaml

    files = sorted((root / "topologies").glob("*.yaml"))
    assert len(files) >= 4
    for file in files:
        spec = {"topology": yaml.safe_load(file.read_text())}
        topology = build(ClusterSpec.model_validate(spec), base=file.parent)
        assert topology.route(topology.gpus[0], topology.gpus[-1])
