"""Counts, degree, diameter, bisection and path diversity against the formulas of the papers."""

import itertools
import math

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe
from clustersim.topology.contract import check

USABLE = 48e9
ICI_V4 = 45e9
FEW = settings(max_examples=12, deadline=None)


def of(kind, *, link="infiniband-ndr", **fields):
    fabric = {"link": link} if link else {}
    return build(ClusterSpec.model_validate({"topology": {"kind": kind, **fields}, "fabric": fabric}))


def switch_degrees(topology):
    graph = topology.graph
    switches = {vertex for vertex, fields in graph.nodes(data=True) if "level" in fields}
    return {sum(other in switches for _, other in graph.out_edges(switch)) for switch in switches}


def chip_degrees(topology):
    return {topology.graph.out_degree(gpu) for gpu in topology.gpus}


def multinomial(counts):
    return math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3).filter(lambda sizes: math.prod(sizes) > 1))
@FEW
def test_a_torus_has_the_degree_diameter_bisection_and_paths_of_dally(sizes):
    topology = of("torus", dimensions=sizes, node="t4-x1")
    summary = describe(topology)
    wrapped = sum(size > 2 for size in sizes)
    pairs = sum(size == 2 for size in sizes)
    assert switch_degrees(topology) == {2 * wrapped + pairs}
    assert summary.diameter_links == sum(size // 2 for size in sizes) + 2
    halves = [size // 2 for size in sizes]
    both_ways = 2 ** sum(size > 2 and size % 2 == 0 for size in sizes)
    assert summary.path_diversity == (multinomial(halves) * both_ways,) * 2
    if all(size % 2 == 0 for size in sizes):
        cut = min((2 if size > 2 else 1) * math.prod(sizes) // size for size in sizes)
        hosts = math.prod(sizes) / 2
        assert summary.bisection_bytes_per_s == pytest.approx(min(cut, hosts) * USABLE)


@pytest.mark.parametrize(("dimensions", "node", "links"), [([4, 4, 8], "tpu-v4", 6), ([8, 4], "tpu-v5e", 4)])
def test_tpu_chips_are_a_torus_without_adapters_or_switches(dimensions, node, links):
    topology = of("torus", dimensions=dimensions, node=node, link=None)
    summary = describe(topology)
    assert len(topology.gpus) == math.prod(dimensions) == 4 * len(topology.gpus_by_node)
    assert chip_degrees(topology) == {links}
    assert summary.switches == {}
    assert summary.diameter_links == sum(size // 2 for size in dimensions)
    assert summary.bisection_bytes_per_s == pytest.approx(
        2 * math.prod(dimensions) / max(dimensions) * ICI_V4
    )
    assert topology.dimensions == tuple(dimensions)
    assert {topology.coordinates(gpu) for gpu in topology.gpus} == set(
        itertools.product(*map(range, dimensions))
    )


def test_a_pod_of_256_tpu_v5e_has_the_bisection_that_google_publishes():
    """docs.cloud.google.com/tpu/docs/v5e: 1.6 TB/s; ours is 90 % of it, the usable share of a link."""
    summary = describe(of("torus", dimensions=[16, 16], node="tpu-v5e", link=None))
    assert summary.bisection_bytes_per_s == pytest.approx(1.6e12 * 0.9)


def test_the_chips_of_one_host_stand_in_one_block():
    topology = of("torus", dimensions=[4, 4, 2], node="tpu-v4", link=None)
    places = {topology.coordinates(gpu) for gpu in topology.gpus_by_node["node1"]}
    assert places == {(x, y, 1) for x in (0, 1) for y in (0, 1)}
    with pytest.raises(InputError, match="6 × 3 × 4 is not made of hosts of 'tpu-v4', 2 × 2 × 1 chips each"):
        of("torus", dimensions=[6, 3, 4], node="tpu-v4", link=None)


def test_routes_take_the_shorter_way_round_a_wrapped_dimension_only():
    for wrap, links in ((True, 1), (False, 7)):
        topology = of("torus", dimensions=[8, 2], wrap=[wrap, False], node="tpu-v5e", link=None)
        at = {topology.coordinates(gpu): gpu for gpu in topology.gpus}
        assert len(topology.route(at[0, 0], at[7, 0])) == links


@given(sizes=st.lists(st.integers(2, 4), min_size=1, max_size=3))
@FEW
def test_a_mesh_has_the_diameter_and_bisection_of_lines(sizes):
    topology = of("torus", dimensions=sizes, wrap=[False] * len(sizes), node="t4-x1")
    summary = describe(topology)
    assert summary.diameter_links == sum(size - 1 for size in sizes) + 2
    assert summary.path_diversity == (multinomial([size - 1 for size in sizes]),) * 2
    if all(size % 2 == 0 for size in sizes):
        cut = min(math.prod(sizes) // size for size in sizes)
        assert summary.bisection_bytes_per_s == pytest.approx(cut * USABLE)


@given(bits=st.integers(1, 6), on_switch=st.integers(1, 3))
@FEW
def test_a_hypercube_has_n_links_n_factorial_paths_and_half_its_vertices_across(bits, on_switch):
    topology = of("hypercube", dimensions=bits, node="t4-x1", nodes_per_switch=on_switch)
    summary = describe(topology)
    assert summary.switches == {"switch": 2**bits}
    assert switch_degrees(topology) == {bits}
    assert summary.diameter_links == bits + 2
    assert summary.path_diversity == (math.factorial(bits),) * 2
    assert summary.bisection_bytes_per_s == pytest.approx(2**bits / 2 * USABLE)
    assert len({topology.coordinates(gpu) for gpu in topology.gpus}) == len(topology.gpus)


@given(sizes=st.lists(st.integers(2, 5), min_size=1, max_size=3), on_switch=st.integers(1, 2), data=st.data())
@FEW
def test_a_hyperx_has_the_degree_diameter_and_bisection_of_ahn(sizes, on_switch, data):
    shares = [data.draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in sizes]
    topology = of(
        "hyperx", dimensions=sizes, link_bandwidths=shares, node="dgx-h100", nodes_per_switch=on_switch
    )
    summary = describe(topology)
    switches = math.prod(sizes)
    assert switch_degrees(topology) == {sum(size - 1 for size in sizes)}
    assert summary.diameter_links == len(sizes) + 2
    assert summary.path_diversity == (math.factorial(len(sizes)),) * 2
    if all(size % 2 == 0 for size in sizes):
        cut = min(share * size * switches / 4 for share, size in zip(shares, sizes, strict=True))
        hosts = switches * on_switch * 8 / 2
        assert summary.bisection_bytes_per_s == pytest.approx(min(cut, hosts) * USABLE)


@given(half=st.integers(1, 3), on_switch=st.integers(1, 3))
@FEW
def test_a_full_mesh_of_switches_has_a_link_for_each_pair(half, on_switch):
    switches = 2 * half
    topology = of("full-mesh", nodes=switches * on_switch, node="dgx-a100", nodes_per_switch=on_switch)
    summary = describe(topology)
    assert summary.switches == {"switch": switches}
    assert switch_degrees(topology) == {switches - 1}
    assert summary.diameter_links == 3
    assert summary.path_diversity == (1, 1)
    assert summary.bisection_bytes_per_s == pytest.approx(min(half**2, half * on_switch * 8) * USABLE)


@given(half=st.integers(1, 3))
@FEW
def test_a_full_mesh_of_nodes_splits_each_port_over_the_others(half):
    nodes = 2 * half
    topology = of("full-mesh", nodes=nodes, node="dgx-a100")
    summary = describe(topology)
    assert summary.switches == {}
    assert summary.diameter_links == 1
    assert summary.bisection_bytes_per_s == pytest.approx(half**2 * 8 * USABLE / (nodes - 1))
    assert topology.route("node0/gpu0", f"node{nodes - 1}/gpu3")


@given(p=st.integers(1, 3), a=st.integers(1, 4), h=st.integers(1, 2), data=st.data())
@FEW
def test_a_dragonfly_has_the_counts_ports_and_global_links_of_kim(p, a, h, data):
    groups = data.draw(st.integers(2, a * h + 1))
    topology = of(
        "dragonfly",
        nodes=groups * a * p,
        node="t4-x1",
        adapters_per_router=p,
        routers_per_group=a,
        global_links_per_router=h,
    )
    summary = describe(topology)
    assert summary.switches == {"router": groups * a}
    per_pair = a * h // (groups - 1)
    tiers = {tier.tier: tier.cables for tier in summary.tiers}
    assert tiers["global"] == per_pair * groups * (groups - 1) // 2
    assert tiers.get("local", 0) == groups * a * (a - 1) // 2
    assert max(switch_degrees(topology)) <= a - 1 + h
    if groups == a * h + 1:
        assert switch_degrees(topology) == {a - 1 + h}
    assert summary.diameter_links <= 5
    if groups % 2 == 0:
        cut = min((groups / 2) ** 2 * per_pair, groups * a * p / 2)
        assert summary.bisection_bytes_per_s == pytest.approx(cut * USABLE)


@given(
    p=st.integers(1, 3),
    leaves=st.integers(1, 3),
    spines=st.integers(1, 3),
    h=st.integers(1, 3),
    data=st.data(),
)
@FEW
def test_a_dragonfly_plus_has_the_counts_and_global_links_of_shpiner(p, leaves, spines, h, data):
    groups = data.draw(st.integers(2, min(6, spines * h + 1)))
    topology = of(
        "dragonfly-plus",
        nodes=groups * leaves * p,
        node="t4-x1",
        adapters_per_leaf=p,
        leaves_per_group=leaves,
        spines_per_group=spines,
        global_links_per_spine=h,
    )
    summary = describe(topology)
    assert summary.switches == {"leaf": groups * leaves, "spine": groups * spines}
    per_pair = spines * h // (groups - 1)
    tiers = {tier.tier: tier.cables for tier in summary.tiers}
    assert tiers["global"] == per_pair * groups * (groups - 1) // 2
    assert tiers["leaf-spine"] == groups * leaves * spines
    assert summary.diameter_links == 5
    assert summary.path_diversity[0] >= per_pair
    if groups % 2 == 0:
        assert summary.bisection_bytes_per_s <= (groups / 2) ** 2 * per_pair * USABLE * (1 + 1e-9)


def test_too_many_groups_and_too_few_are_refused_with_what_is_needed():
    shape = {"node": "t4-x1", "adapters_per_router": 1, "routers_per_group": 2, "global_links_per_router": 1}
    with pytest.raises(InputError, match=r"topology\.groups: 4 groups, but one has 2 global links"):
        of("dragonfly", nodes=8, **shape)
    with pytest.raises(
        InputError, match=r"2 groups of 2 adapters hold 4, the nodes have 6; expected 3 groups"
    ):
        of("dragonfly", nodes=6, groups=2, **shape)


@given(nodes=st.integers(1, 4).map(lambda n: 2 * n))
@FEW
def test_a_rail_only_fabric_has_full_bisection_within_rails_and_nothing_between(nodes):
    topology = of("rail-only", nodes=nodes, node="dgx-h100")
    summary = describe(topology)
    assert summary.switches == {"rail": 8}
    assert switch_degrees(topology) == {0}
    assert summary.diameter_links == 2
    assert summary.bisection_bytes_per_s == pytest.approx(nodes / 2 * 8 * USABLE)
    across = [topology.link_tier[link] for link in topology.route("node0/gpu0", f"node{nodes - 1}/gpu5")]
    assert across.count("nic") == 2
    assert "scale-up" in across


@given(edge=st.floats(1.0, 4.0), aggregation=st.none() | st.floats(1.0, 4.0))
@FEW
def test_a_fat_tree_has_the_oversubscription_of_each_tier(edge, aggregation):
    tiers = {"edge": edge} if aggregation is None else {"edge": edge, "aggregation": aggregation}
    summary = describe(of("fat-tree", nodes=16, node="t4-x1", k=4, oversubscription=tiers))
    assert summary.oversubscription["edge"] == pytest.approx(edge)
    assert summary.oversubscription["agg"] == pytest.approx(1 / edge if aggregation is None else aggregation)
    ratio = edge * (1.0 if aggregation is None else aggregation)
    assert summary.bisection_bytes_per_s == pytest.approx(8 * USABLE / ratio)


PLANES = [
    ("leaf-spine", {"nodes": 4, "node": "a100-40gb-x4", "nodes_per_leaf": 2, "oversubscription": 2}),
    ("fat-tree", {"nodes": 16, "node": "t4-x1", "k": 4}),
    ("rail-optimized", {"nodes": 4, "node": "dgx-h100", "nodes_per_group": 2}),
]


@pytest.mark.parametrize("planes", [2, 3, 4])
@pytest.mark.parametrize(("kind", "fields"), PLANES)
def test_planes_are_equal_parts_of_every_port_with_the_same_bisection(kind, fields, planes):
    one, several = of(kind, **fields), of(kind, planes=planes, **fields)
    alone, split = describe(one), describe(several)
    assert split.bisection_bytes_per_s == pytest.approx(alone.bisection_bytes_per_s)
    assert split.all_to_all.rate_per_gpu_bytes_per_s == pytest.approx(
        alone.all_to_all.rate_per_gpu_bytes_per_s
    )
    assert split.path_diversity == tuple(planes * count for count in alone.path_diversity)
    assert split.oversubscription == pytest.approx(alone.oversubscription)
    copies = [
        nx.relabel_nodes(
            several.graph.subgraph(
                v for v in several.graph if "plane" not in v or v.startswith(f"plane{n}/")
            ),
            lambda vertex: vertex.rpartition("plane")[2].partition("/")[2] if "plane" in vertex else vertex,
        )
        for n in range(planes)
    ]
    for copy in copies:
        assert nx.utils.graphs_equal(nx.MultiDiGraph(copy), nx.MultiDiGraph(copies[0]))


EVERY_KIND = [
    ("star", {"nodes": 3, "node": "dgx-a100"}),
    *PLANES,
    ("rail-only", {"nodes": 3, "node": "dgx-h100"}),
    ("dragonfly", {"nodes": 6, "node": "t4-x4", "adapters_per_router": 1}),
    ("dragonfly-plus", {"nodes": 8, "node": "t4-x1", "adapters_per_leaf": 2, "leaves_per_group": 2}),
    ("torus", {"dimensions": [4, 2, 2], "node": "tpu-v5p"}),
    ("torus", {"dimensions": [3, 3], "node": "p4d"}),
    ("hypercube", {"dimensions": 4, "node": "tpu-v5e"}),
    ("hyperx", {"dimensions": [3, 2], "node": "l40s-x8"}),
    ("full-mesh", {"nodes": 4, "node": "dgx-a100", "nodes_per_switch": 1}),
    ("full-mesh", {"nodes": 3, "node": "dgx-a100"}),
]


@pytest.mark.parametrize(("kind", "fields"), EVERY_KIND)
def test_every_builder_keeps_the_contract_and_joins_all_gpus_both_ways(kind, fields):
    topology = of(kind, link=None, **fields)
    check(topology.graph)
    assert len(set(topology.link_names)) == len(topology.link_names)
    for source, target in itertools.permutations(topology.gpus[::3] + topology.gpus[-2:], 2):
        if source == target:
            continue
        vertices = [source, *(topology.link_ends[link][1] for link in topology.route(source, target))]
        assert vertices[-1] == target
        assert len(set(vertices)) == len(vertices)


@pytest.mark.parametrize(("kind", "fields"), EVERY_KIND)
def test_every_link_has_an_opposite_of_the_same_rate(kind, fields):
    graph = of(kind, link=None, **fields).graph
    for source, target in graph.edges():
        rates = [
            sorted(link["bandwidth_bytes_per_s"] for link in graph.get_edge_data(*ends).values())
            for ends in ((source, target), (target, source))
        ]
        assert rates[0] == rates[1]


def test_chips_and_nodes_without_an_adapter_are_refused_where_they_cannot_be_joined():
    with pytest.raises(InputError, match="'tpu-v4' has no network adapter; kind 'torus' joins its chips"):
        of("star", nodes=2, node="tpu-v4")
    with pytest.raises(InputError, match=r"a chip of 'tpu-v4' forwards itself and has no switch"):
        of("torus", dimensions=[2, 2, 1], node="tpu-v4", nodes_per_switch=2)


def test_switches_of_the_fabric_reduce_only_where_the_scenario_says_so():
    topology = {"kind": "leaf-spine", "nodes": 2, "node": "dgx-h100", "nodes_per_leaf": 1}
    for reduces in (True, False):
        spec = {"topology": topology, "fabric": {"in_network_reduction": reduces}}
        graph = build(ClusterSpec.model_validate(spec)).graph
        assert graph.nodes["leaf0"].get("reduces", False) is reduces
        assert not graph.nodes["node0/nvswitch"].get("reduces", False)
