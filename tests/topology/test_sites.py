import pytest

from clustersim import World
from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe

BASEL = {"name": "basel", "topology": {"kind": "star", "nodes": 2, "node": "t4-x4"}}
OSLO = {
    "name": "oslo",
    "topology": {"kind": "leaf-spine", "nodes": 4, "node": "l40s-x8", "nodes_per_leaf": 2},
}
ROME = {"name": "rome", "topology": {"kind": "star", "nodes": 1, "node": "l4-x1"}}
LINK = {"between": ["basel", "oslo"], "bandwidth": "8 Gbit/s", "latency": "15 ms"}


def sites(*members, links=(LINK,)):
    topology = {"kind": "sites", "sites": list(members), "links": list(links)}
    return build(ClusterSpec.model_validate({"topology": topology}))


def test_each_site_keeps_its_own_topology_under_its_name():
    topology = sites(BASEL, OSLO)
    assert topology.gpus[0] == "basel/node0/gpu0"
    assert topology.gpus_by_node["oslo/node3"][-1] == "oslo/node3/gpu7"
    assert topology.attachment("oslo/node0") == "oslo/leaf0"
    alone = build(ClusterSpec.model_validate({"topology": OSLO["topology"]}))
    for source, target in (("node0/gpu0", "node0/gpu5"), ("node0/gpu1", "node3/gpu2")):
        inside = topology.route(f"oslo/{source}", f"oslo/{target}")
        assert len(inside) == len(alone.route(source, target))
        assert all(topology.link_names[link].startswith("oslo/") for link in inside)


def test_traffic_between_sites_takes_the_wide_area_link_and_its_latency():
    topology = sites(BASEL, OSLO)
    route = topology.route("basel/node1/gpu3", "oslo/node2/gpu4")
    assert [topology.link_names[link] for link in route if topology.link_tier[link] == "wan"] == [
        "basel/gateway>oslo/gateway"
    ]
    assert topology.latency_s(route) == pytest.approx(15e-3, rel=1e-3)
    world = World(topology)
    world.env.run(world.transfer("basel/node1/gpu3", "oslo/node2/gpu4", 1e9))
    assert world.env.now == pytest.approx(1.015, rel=1e-2)


def test_the_wide_area_link_is_what_limits():
    result = describe(sites(BASEL, OSLO)).all_to_all
    assert result.tier == "wan"
    pairs_across = 8 * 32
    assert result.rate_per_gpu_bytes_per_s == pytest.approx(1e9 * 39 / pairs_across)


def test_sites_without_a_link_of_their_own_are_reached_over_others():
    onward = {"between": ["oslo", "rome"], "bandwidth": "1 Gbit/s", "latency": "20 ms"}
    topology = sites(BASEL, OSLO, ROME, links=(LINK, onward))
    route = topology.route("basel/node0/gpu0", "rome/node0/gpu0")
    assert [topology.link_tier[link] for link in route].count("wan") == 2
    assert topology.latency_s(route) == pytest.approx(35e-3, rel=1e-3)


def test_a_path_inside_a_site_never_takes_the_gateway_as_a_short_cut():
    dragonfly = {"kind": "dragonfly", "nodes": 6, "node": "t4-x4", "adapters_per_router": 1}
    topology = sites(BASEL, {"name": "oslo", "topology": dragonfly})
    alone = build(ClusterSpec.model_validate({"topology": dragonfly}))
    for source in alone.gpus[::4]:
        for target in alone.gpus[1::4]:
            inside = topology.route(f"oslo/{source}", f"oslo/{target}")
            assert len(inside) == len(alone.route(source, target))


WRONG = [
    ((BASEL, {**OSLO, "name": "basel"}), (LINK,), r"sites\[1\]\.name: 'basel' names two sites"),
    ((BASEL, OSLO), ({**LINK, "between": ["basel", "osol"]},), r"no site 'osol'\. Did you mean 'oslo'"),
    ((BASEL, OSLO), ({**LINK, "between": ["oslo", "oslo"]},), r"joins 'oslo' to itself"),
    ((BASEL, OSLO, ROME), (LINK,), r"topology\.links: no link reaches site 'rome'"),
    ((BASEL, OSLO), ({**LINK, "bandwidth": "0 Gbit/s"},), r"links\[0\]\.bandwidth: must be more than zero"),
]


@pytest.mark.parametrize(("members", "links", "message"), WRONG)
def test_sites_and_links_that_make_no_sense_are_refused(members, links, message):
    with pytest.raises(InputError, match=message):
        sites(*members, links=links)


def test_what_is_wrong_with_the_topology_of_a_site_is_told_with_its_place():
    wrong = {"name": "oslo", "topology": {"kind": "star", "nodes": 2, "node": "l40s-x9"}}
    with pytest.raises(
        InputError, match=r"topology\.sites\[1\]\.topology\.node: unknown node type 'l40s-x9'"
    ):
        sites(BASEL, wrong)
    chips = {"name": "oslo", "topology": {"kind": "torus", "dimensions": [4, 4], "node": "tpu-v5e"}}
    with pytest.raises(InputError, match=r"topology\.sites\[1\]\.topology: a site of chips or nodes without"):
        sites(BASEL, chips)
