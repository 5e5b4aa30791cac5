"""Nodes that are alike inside are searched once, and what holds in one holds in all."""

from __future__ import annotations

import pytest

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import Topology, build
from clustersim.topology import routing as routing_module
from clustersim.topology._alike import AlikeNodes
from clustersim.topology._inside import ports, route_inside


def star(node: str, nodes: int, *lost: str) -> Topology:
    spec = {"topology": {"kind": "star", "node": node, "nodes": nodes}, "fabric": {"link": "ethernet-100g"}}
    faults = [{"link": link} for link in lost]
    return build(ClusterSpec.model_validate({**spec, "faults": faults}))


def inside(topology: Topology, node: str) -> list[int]:
    return [vertex for vertex, home in enumerate(topology.wires.node) if home == node]


@pytest.mark.parametrize("node", ["dgx-h100", "dgx-a100", "dgx-1v", "mi300x-x8"])
def test_ports_and_links_inside_are_those_of_a_search_in_every_node(node: str) -> None:
    topology = star(node, 3, "node1/nic0>switch0")
    wires, router = topology.wires, topology._router
    for name in ("node0", "node1", "node2"):
        vertices = inside(topology, name)
        for source in vertices:
            for leaving in (True, False):
                found = router.adapters.of(source, leaving=leaving)
                assert sorted(found) == sorted(ports(wires, source, leaving=leaving))
            for target in vertices:
                pick = router.picker(source, target, 0)
                expected = route_inside(wires, source, target, pick) if source != target else ()
                assert router.inside((source, target), pick) == tuple(expected or ())


def test_a_node_that_lost_a_link_is_not_like_the_others() -> None:
    whole, broken = star("dgx-a100", 3), star("dgx-a100", 3, "node1/gpu0>node1/nvswitch")
    assert AlikeNodes(whole.wires).shapes == [0, 0, 0]
    assert AlikeNodes(broken.wires).shapes == [0, 1, 0]


def test_alike_nodes_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def counted(*arguments: object) -> object:
        searched.append(arguments)
        return route_inside(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(routing_module, "route_inside", counted)
    counts = []
    for nodes in (2, 6):
        topology = star("dgx-a100", nodes)
        searched.clear()
        for index, gpu in enumerate(topology.gpus):
            topology.path(gpu, topology.gpus[(index + 8) % len(topology.gpus)])
        counts.append(len(searched))
    assert counts[0] == counts[1]
