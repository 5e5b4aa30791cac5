"""The host that a GPU hangs on."""

from __future__ import annotations

import networkx as nx
import pytest

from clustersim.errors import CannotRunError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build
from clustersim.topology.hosts import hosts_of


def cluster(node: str) -> Topology:
    spec = {"topology": {"kind": "star", "nodes": 2, "node": node}}
    return build(ClusterSpec.model_validate(spec), base=None)


def test_a_gpu_hangs_on_the_socket_that_is_near():
    topology = cluster("dgx-h100")
    hosts = hosts_of(topology, topology.gpus)
    assert hosts["node0/gpu0"] == "node0/host0"
    assert hosts["node1/gpu7"] == "node1/host1"
    assert {gpu.split("/")[0] for gpu in hosts} == {host.split("/")[0] for host in hosts.values()}


def test_a_node_without_a_host_is_refused():
    graph = nx.MultiDiGraph(cluster("a100-40gb-x4").graph)
    graph.remove_nodes_from([vertex for vertex, kind in graph.nodes(data="kind") if kind == "host"])
    topology = Topology(graph)
    with pytest.raises(CannotRunError, match="'node0' has no host"):
        hosts_of(topology, topology.gpus)
