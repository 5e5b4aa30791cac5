import pytest

from clustersim import catalog
from clustersim.catalog.nodes import SHELF


def names(topology, source, target):
    links = topology.route(source, target)
    return [topology.link_ends[links[0]][0], *(topology.link_ends[link][1] for link in links)]


@pytest.mark.parametrize("name", SHELF.names())
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


def test_gpus_of_a_pcie_server_meet_in_the_host_and_leave_through_it(make):
    topology = make("star", 2, "l40s-x8")
    assert names(topology, "node0/gpu0", "node0/gpu5") == ["node0/gpu0", "node0/host", "node0/gpu5"]
    path = names(topology, "node0/gpu5", "node1/gpu0")
    assert path == [
        *("node0/gpu5", "node0/host", "node0/nic2", "switch0"),
        *("node1/nic0", "node1/host", "node1/gpu0"),
    ]


def test_where_there_are_half_as_many_adapters_as_gpus_pairs_share_one(make):
    for name in ("p4d", "dgx-1v", "l40s-x8"):
        topology = make("star", 2, name)
        assert [topology.rail(gpu) for gpu in topology.gpus_by_node["node1"]] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_each_gpu_of_a_dgx_h100_leaves_through_the_adapter_beside_it(make):
    topology = make("rail-optimized", 2)
    for n, gpu in enumerate(topology.gpus_by_node["node0"]):
        assert topology.rail(gpu) == n
        assert names(topology, gpu, f"node1/gpu{n}")[1] == f"node0/nic{n}"


def test_a_mesh_shares_a_gpus_bandwidth_over_its_peers(make):
    topology = make("star", 1, "hgx-a100-x4")
    (link,) = topology.route("node0/gpu1", "node0/gpu3")
    assert topology.link_bandwidth_bytes_per_s[link] == pytest.approx(258.1e9 / 3)


def test_on_the_hybrid_cube_mesh_gpus_without_a_lane_between_them_use_one_gpu_in_between(make):
    topology = make("star", 1, "dgx-1v")
    (double,) = topology.route("node0/gpu0", "node0/gpu3")
    (single,) = topology.route("node0/gpu0", "node0/gpu1")
    rate = topology.link_bandwidth_bytes_per_s
    assert rate[double] == pytest.approx(2 * rate[single]) == pytest.approx(122e9 / 3)
    path = names(topology, "node0/gpu0", "node0/gpu7")
    assert len(path) == 3
    assert "gpu" in path[1]


def test_a_host_reaches_the_gpus_of_its_node_and_the_hosts_of_others(make):
    topology = make("star", 2, "dgx-a100")
    assert len(topology.route("node0/host", "node0/gpu3")) == 1
    assert names(topology, "node0/host", "node1/host") == [
        *("node0/host", "node0/nic0", "switch0", "node1/nic0", "node1/host")
    ]


def test_one_rack_of_gb200_is_one_nvlink_domain(make):
    topology = make("star", 1, "gb200-nvl72")
    assert len(topology.gpus) == 72
    assert len(topology.route("node0/gpu0", "node0/gpu71")) == 2
