import pytest

from clustersim.errors import CannotRunError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe

LEAF_SPINE = {"kind": "leaf-spine", "nodes": 4, "node": "a100-40gb-x4", "nodes_per_leaf": 2, "spines": 4}


def with_faults(*faults, topology=LEAF_SPINE):
    rows = [fault if isinstance(fault, dict) else {"link": fault} for fault in faults]
    return build(ClusterSpec.model_validate({"topology": topology, "faults": rows}))


def spines_used(topology):
    routes = (topology.route("node0/gpu0", "node2/gpu1", connection=n) for n in range(200))
    return {topology.link_ends[link][1] for route in routes for link in route} & {
        f"spine{n}" for n in range(4)
    }


def test_routes_go_round_a_link_that_is_missing():
    assert len(spines_used(with_faults())) == 4
    topology = with_faults("leaf0<>spine1")
    assert spines_used(topology) == {"spine0", "spine2", "spine3"}
    assert not {"leaf0>spine1", "spine1>leaf0"} & set(topology.link_names)
    assert describe(topology).path_diversity == (3, 3)


def test_one_direction_alone_may_be_missing():
    names = with_faults("leaf0>spine1").link_names
    assert "leaf0>spine1" not in names
    assert "spine1>leaf0" in names


def test_a_degraded_link_keeps_its_place_with_less_bandwidth():
    whole, topology = with_faults(), with_faults({"link": "leaf0<>spine1", "capacity": 0.25})
    assert topology.link_names == whole.link_names
    for name, share in (("leaf0>spine1", 0.25), ("spine1>leaf0", 0.25), ("leaf0>spine2", 1.0)):
        link = topology.link_index(name)
        before = whole.link_bandwidth_bytes_per_s[link]
        assert topology.link_bandwidth_bytes_per_s[link] == pytest.approx(share * before)


def test_one_of_two_parallel_links_is_named_by_its_number():
    ring = {"kind": "torus", "dimensions": [2], "wrap": [True], "node": "t4-x1"}
    assert "switch0>switch1#1" in with_faults(topology=ring).link_names
    topology = with_faults("switch0<>switch1#1", topology=ring)
    assert {name for name in topology.link_names if "nic" not in name and "node" not in name} == {
        *("switch0>switch1", "switch1>switch0")
    }


def test_a_torus_with_a_fault_is_no_longer_taken_as_symmetric():
    torus = {"kind": "torus", "dimensions": [4, 4], "node": "tpu-v5e"}
    whole = describe(with_faults(topology=torus)).all_to_all
    hurt = describe(with_faults("node0/gpu0<>node0/gpu1", topology=torus)).all_to_all
    assert hurt.rate_per_gpu_bytes_per_s < 0.9 * whole.rate_per_gpu_bytes_per_s


def test_a_fault_that_cuts_gpus_off_is_named_with_who_is_lost():
    faults = [f"leaf0<>spine{n}" for n in range(4)]
    with pytest.raises(
        CannotRunError, match=r"faults\[3\]\.link: without 'leaf0<>spine3' no path leads"
    ) as caught:
        with_faults(*faults, {"link": "leaf1<>spine0", "capacity": 0.5})
    assert "7 more GPUs are cut off" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_node_that_loses_an_adapter_uses_the_others():
    topology = with_faults("node0/nic0<>switch0", topology={"kind": "star", "nodes": 2, "node": "dgx-h100"})
    vertices = {topology.link_ends[link][0] for link in topology.route("node0/gpu0", "node1/gpu0")}
    assert any(vertex.startswith("node0/nic") and vertex != "node0/nic0" for vertex in vertices)


def test_names_that_are_no_link_are_all_reported_with_the_nearest():
    with pytest.raises(InputError) as caught:
        with_faults("leaf0<>spine9", "leaf1>spine1", "leaf1>spine1", "nonsense")
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert set(told) == {("faults", number, "link") for number in (0, 2, 3)}
    assert told["faults", 0, "link"].startswith("no link 'leaf0>spine9'. Did you mean 'leaf0>spine")
    assert told["faults", 2, "link"] == "'leaf1>spine1' has a fault above"
    assert told["faults", 3, "link"].startswith("no link 'nonsense'")
