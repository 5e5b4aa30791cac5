"""A cluster whose links and devices are faster than they are built."""

import numpy as np
import pytest

from clustersim import catalog
from clustersim.collectives.connections import Connections
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build

TOPOLOGIES = {
    "leaf-spine": {"kind": "leaf-spine", "nodes": 4, "node": "dgx-h100", "nodes_per_leaf": 2, "spines": 2},
    "one node": {"kind": "star", "nodes": 1, "node": "dgx-a100"},
}


def built(topology, **speeds):
    return build(ClusterSpec.model_validate({"topology": topology, "speeds": speeds}))


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_link_has_so_many_times_its_rate_and_its_latency_over_so_many(name):
    usual = built(TOPOLOGIES[name])
    fast = built(TOPOLOGIES[name], network_bandwidth=2.0, network_latency=4.0)
    np.testing.assert_array_equal(
        fast.link_bandwidth_bytes_per_s, 2.0 * np.array(usual.link_bandwidth_bytes_per_s)
    )
    np.testing.assert_array_equal(fast.link_latency_s, np.array(usual.link_latency_s) / 4.0)
    np.testing.assert_array_equal(fast.link_message_overhead_s, np.array(usual.link_message_overhead_s) / 4.0)


def test_links_stay_as_they_are_where_something_else_is_faster():
    usual = built(TOPOLOGIES["leaf-spine"])
    fast = built(TOPOLOGIES["leaf-spine"], compute=2.0, memory_bandwidth=2.0, host=2.0, memory_capacity=2.0)
    np.testing.assert_array_equal(fast.link_bandwidth_bytes_per_s, usual.link_bandwidth_bytes_per_s)
    np.testing.assert_array_equal(fast.link_latency_s, usual.link_latency_s)


def test_a_faster_network_keeps_the_software_that_it_was_built_with():
    names = set()
    for factor in (0.25, 1.0, 4.0):
        topology = built(TOPOLOGIES["leaf-spine"], network_bandwidth=factor)
        names.add(Connections(topology).between("node0/gpu0", "node1/gpu0").costs.name)
    assert len(names) == 1


def test_latencies_of_collectives_shrink_with_those_of_the_network():
    usual, fast = (
        Connections(built(TOPOLOGIES["leaf-spine"], network_latency=factor))
        .between("node0/gpu0", "node1/gpu0")
        .costs
        for factor in (1.0, 2.0)
    )
    assert fast.base_latency_s == usual.base_latency_s / 2.0
    for family, protocols in usual.families.items():
        for name, protocol in protocols.items():
            faster = fast.families[family][name]
            assert faster.step_latency_s == protocol.step_latency_s / 2.0
            assert faster.start_latency_s == protocol.start_latency_s / 2.0
            assert faster.bandwidth_efficiency == protocol.bandwidth_efficiency


def test_devices_are_the_catalogues_unless_a_speed_says_otherwise():
    usual = built(TOPOLOGIES["one node"])
    device = catalog.accelerator(usual.accelerator_of("node0/gpu0"))
    assert usual.accelerator("node0/gpu0") is device
    assert usual.memory_bytes("node0/gpu0") == device.memory_bytes
    fast = built(TOPOLOGIES["one node"], memory_capacity=1.5, compute=2.0)
    assert fast.memory_bytes("node0/gpu0") == 1.5 * device.memory_bytes
    assert fast.accelerator("node0/gpu0").peak("bf16") == 2.0 * device.peak("bf16")
    assert fast.accelerator("node0/gpu0") is fast.accelerator("node0/gpu7")
