import pytest

from clustersim import catalog
from clustersim.catalog.nodes import SHELF


def names(topology, source, target):
    links = topology.route(source, target)
    return [topology.link_ends[links[0]][0], *(topology.link_ends[link][1] for link in links)]


WITH_ADAPTERS = [name for name in SHELF.names() if not catalog.node_type(name).chip_grid]


@pytest.mark.parametrize("name", WITH_ADAPTERS)
def test_every_node_type_builds_and_routes_between_all_its_gpus_and_to_another_node(make, name):
    topology = make("star", 2, name)
    node = catalog.node_type(name)
    assert len(topology.gpus) == 2 * node.gpus
    inside = {vertex for vertex in topology.graph if vertex.startswith("node0/")}
    for gpu in topology.gpus_by_node["node0"][1:9]:
        assert set(names(topology, "node0/gpu0", gpu)) <= inside
    path = names(topology, "node0/gpu0", topology.gpus[-1])
    assert path.count("switch0") == 1
    assert sum("/nic" in vertex for vertex in path) == 2


def test_gpus_behind_an_nvswitch_reach_each_other_through_it(make):
    topology = make("star", 1, "dgx-h100")
    assert names(topology, "node0/gpu2", "node0/gpu7") == ["node0/gpu2", "node0/nvswitch", "node0/gpu7"]
    link = topology.route("node0/gpu2", "node0/gpu7")[0]
    assert topology.link_tier[link] == "scale-up"
    assert topology.link_bandwidth_bytes_per_s[link] == pytest.approx(370e9)


def test_gpus_of_a_pcie_server_meet_at_their_switch_or_across_the_sockets_and_leave_beside_it(make):
    topology = make("star", 2, "l40s-x8")
    assert names(topology, "node0/gpu0", "node0/gpu3") == ["node0/gpu0", "node0/pcie0", "node0/gpu3"]
    assert names(topology, "node0/gpu0", "node0/gpu5") == [
        *("node0/gpu0", "node0/pcie0", "node0/host0", "node0/host1", "node0/pcie1", "node0/gpu5")
    ]
    assert names(topology, "node0/gpu5", "node1/gpu0") == [
        *("node0/gpu5", "node0/pcie1", "node0/nic2", "switch0"),
        *("node1/nic0", "node1/pcie0", "node1/gpu0"),
    ]


def test_gpus_without_a_pcie_switch_meet_in_the_host(make):
    topology = make("star", 1, "t4-x4")
    assert names(topology, "node0/gpu0", "node0/gpu3") == ["node0/gpu0", "node0/host", "node0/gpu3"]


PCIE_SWITCHES = [
    ("dgx-1v", 4, 2, 1),
    ("dgx-a100", 4, 2, 2),
    ("dgx-h100", 8, 1, 1),
    ("hgx-b200", 4, 2, 2),
    ("p4d", 4, 2, 1),
    ("l40s-x8", 2, 4, 2),
]


@pytest.mark.parametrize(("name", "switches", "gpus", "nics"), PCIE_SWITCHES)
def test_what_hangs_on_a_pcie_switch_shares_one_uplink_to_its_socket(make, name, switches, gpus, nics):
    graph = make("star", 1, name).graph
    found = [vertex for vertex in graph if vertex.startswith("node0/pcie")]
    assert len(found) == switches
    for n, switch in enumerate(found):
        beside = [other.partition("/")[2] for other in graph.succ[switch]]
        assert sum(other.startswith("gpu") for other in beside) == gpus
        assert sum(other.startswith("nic") for other in beside) == nics
        assert [other for other in beside if other.startswith("host")] == [f"host{2 * n // switches}"]


@pytest.mark.parametrize("name", ["dgx-a100", "dgx-h100", "p4d", "l40s-x8", "a2-highgpu-8g", "t4-x4"])
def test_a_gpu_is_one_pcie_link_from_host_and_adapter_in_latency_with_switches_and_without(make, name):
    topology = make("star", 1, name)
    link = catalog.link(catalog.node_type(name).gpu_nic_link)
    host = next(vertex for vertex in topology.graph if vertex.startswith("node0/host"))
    to_host = topology.route("node0/gpu0", host)
    assert topology.latency_s(to_host) == pytest.approx(link.latency_s)
    to_nic = topology.route("node0/gpu0", "node0/nic0")
    beside = catalog.node_type(name).nic_attachment == "gpu"
    assert topology.latency_s(to_nic) == pytest.approx(link.latency_s * (1 if beside else 2))


def test_two_gpus_that_share_an_adapter_share_its_pcie_link_and_its_port(make):
    topology = make("star", 2, "p4d")
    one, other = (topology.route(f"node0/gpu{n}", f"node1/gpu{n}") for n in (0, 1))
    shared = {topology.link_names[link] for link in set(one) & set(other)}
    assert shared == {
        *("node0/pcie0>node0/nic0", "node0/nic0>switch0"),
        *("switch0>node1/nic0", "node1/nic0>node1/pcie0"),
    }


def test_gpus_that_share_an_uplink_contend_for_it():
    from clustersim import World
    from clustersim.spec.cluster import ClusterSpec
    from clustersim.topology import build

    def seconds(*pairs):
        star = {"kind": "star", "nodes": 1, "node": "l40s-x8"}
        world = World(build(ClusterSpec.model_validate({"topology": star})))
        for source, target in pairs:
            world.transfer(f"node0/gpu{source}", f"node0/gpu{target}", 24e9)
        world.env.run()
        return world.env.now

    alone = seconds((0, 4))
    assert alone == pytest.approx(24 / 22, rel=1e-3)
    assert seconds((0, 1), (2, 3)) == pytest.approx(1.0, rel=1e-3)
    assert seconds((0, 4), (1, 5)) == pytest.approx(2 * alone, rel=1e-3)


def test_where_there_are_half_as_many_adapters_as_gpus_pairs_share_one(make):
    for name in ("p4d", "dgx-1v", "l40s-x8"):
        topology = make("star", 2, name)
        assert [topology.rail(gpu) for gpu in topology.gpus_by_node["node1"]] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_each_gpu_of_a_dgx_h100_leaves_through_the_adapter_beside_it(make):
    topology = make("rail-optimized", 2)
    for n, gpu in enumerate(topology.gpus_by_node["node0"]):
        assert topology.rail(gpu) == n
        assert names(topology, gpu, f"node1/gpu{n}")[1:3] == [f"node0/pcie{n}", f"node0/nic{n}"]


def test_a_mesh_shares_a_gpus_bandwidth_over_its_peers(make):
    topology = make("star", 1, "hgx-a100-x4")
    (link,) = topology.route("node0/gpu1", "node0/gpu3")
    assert topology.link_bandwidth_bytes_per_s[link] == pytest.approx(258.1e9 / 3)


def test_on_the_hybrid_cube_mesh_gpus_without_a_lane_between_them_use_one_gpu_in_between(make):
    topology = make("star", 1, "dgx-1v")
    (double,) = topology.route("node0/gpu0", "node0/gpu3")
    (single,) = topology.route("node0/gpu0", "node0/gpu1")
    rate = topology.link_bandwidth_bytes_per_s
    assert (
        rate[double]
        == pytest.approx(2 * rate[single])
        == pytest.approx(catalog.link("nvlink-2").usable_bytes_per_s / 3)
    )
    path = names(topology, "node0/gpu0", "node0/gpu7")
    assert len(path) == 3
    assert "gpu" in path[1]


def test_a_host_reaches_the_gpus_of_its_node_and_the_hosts_of_others(make):
    topology = make("star", 2, "dgx-a100")
    assert len(topology.route("node0/host0", "node0/gpu3")) == 2
    assert names(topology, "node0/host0", "node1/host0") == [
        *("node0/host0", "node0/pcie0", "node0/nic0", "switch0"),
        *("node1/nic0", "node1/pcie0", "node1/host0"),
    ]


def test_one_rack_of_gb200_is_one_nvlink_domain(make):
    topology = make("star", 1, "gb200-nvl72")
    assert len(topology.gpus) == 72
    assert len(topology.route("node0/gpu0", "node0/gpu71")) == 2
