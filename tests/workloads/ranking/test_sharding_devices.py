"""What a planner sees of a cluster: rates as built, memory as the scenario has it, ranks grouped by node."""

import pytest
from sharding_cases import plan_of, table

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build
from clustersim.workloads.ranking.sharding.devices import devices_of


def cluster(*, nodes=2, **speeds):
    star = {"kind": "star", "nodes": nodes, "node": "dgx-h100"}
    return build(ClusterSpec.model_validate({"topology": star, "speeds": speeds}))


def test_rates_of_a_dgx_h100_are_those_of_nvlink_adapter_and_pcie():
    topology = cluster()
    devices = devices_of(topology, topology.gpus)
    assert (devices.ranks, devices.ranks_per_node, devices.nodes) == (16, 8, 2)
    assert devices.scale_up_bytes_per_s == 450e9
    assert devices.scale_out_bytes_per_s == pytest.approx(50e9, rel=0.1)
    assert 20e9 < devices.host_bytes_per_s < 70e9
    assert devices.memory_bytes == devices.accelerator.memory_bytes


def test_a_plan_does_not_change_with_the_speeds_of_a_study():
    usual, fast = cluster(), cluster(memory_bandwidth=2.0, network_bandwidth=3.0, compute=2.0)
    assert devices_of(usual, usual.gpus) == devices_of(fast, fast.gpus)


def test_more_memory_is_seen():
    topology = cluster(memory_capacity=1.1)
    devices = devices_of(topology, topology.gpus)
    assert devices.memory_bytes == pytest.approx(1.1 * devices.accelerator.memory_bytes)


def test_ranks_that_change_nodes_are_not_divided_inside_them():
    topology = cluster()
    dealt = [gpu for pair in zip(topology.gpus[:8], topology.gpus[8:], strict=True) for gpu in pair]
    devices = devices_of(topology, dealt)
    assert (devices.ranks, devices.ranks_per_node) == (16, 1)
    plan = plan_of([table(rows=10**6, dimension=128, pooling=40.0)], on=devices, batch=4096.0)
    assert len(plan.forward_exchanges(64.0)) == 1


def test_one_gpu_exchanges_nothing():
    topology = cluster(nodes=1)
    devices = devices_of(topology, topology.gpus[:1])
    assert devices.exchange_s(1e9) == 0.0
    plan = plan_of([table(pooling=3.0)], on=devices, batch=64.0)
    assert plan.forward_bytes(64.0).tolist() == [[0.0]]
    assert plan.imbalance == 1.0


def test_an_exchange_takes_what_its_slower_link_takes():
    topology = cluster()
    devices = devices_of(topology, topology.gpus)
    assert devices.exchange_s(1e6) == pytest.approx(8 * 1e6 / devices.scale_out_bytes_per_s)
