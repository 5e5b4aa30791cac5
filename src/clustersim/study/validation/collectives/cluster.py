"""From hardware in words to a communicator: a star of its nodes, all links idle."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from clustersim import catalog

if TYPE_CHECKING:
    import networkx as nx

    from clustersim.catalog.hardware import Hardware
    from clustersim.catalog.nodes import NodeType
    from clustersim.collectives import Communicator
    from clustersim.topology.builders.node import NodeTemplate
    from clustersim.topology.builders.wiring import ScaleOut

__all__ = ["communicator", "star_of", "template_and_link"]

_KEPT = 64
_BUILT: dict[tuple[str, str], Communicator] = {}


def communicator(hardware: Hardware, *, algorithm: str = "auto") -> Communicator:
    """Return a communicator over all GPUs that take part, on a star of the nodes.

    Equal hardware gets the same communicator again.
    """
    key = hardware.title, algorithm
    if key not in _BUILT:
        if len(_BUILT) >= _KEPT:
            _BUILT.clear()
        _BUILT[key] = _build(hardware, algorithm)
    return _BUILT[key]


def _build(hardware: Hardware, algorithm: str) -> Communicator:
    from clustersim.collectives import Communicator
    from clustersim.engine.world import World
    from clustersim.topology.network import Topology

    topology = Topology(star_of(hardware), seed=0)
    used = hardware.gpus_per_node
    gpus = [gpu for members in topology.gpus_by_node.values() for gpu in islice(members, used)]
    return Communicator(World(topology, keep_trace=False), gpus, owner="validation", algorithm=algorithm)


def star_of(hardware: Hardware) -> nx.MultiDiGraph[str]:
    """Return the graph of some nodes around one switch that never blocks."""
    from clustersim.spec.topology import StarSpec
    from clustersim.topology.builders.star import build_star

    template, via = template_and_link(hardware)
    spec = StarSpec(kind="star", nodes=hardware.nodes, node=hardware.node.name)
    graph = build_star(spec, node=template, via=via)
    if hardware.reduces:
        graph.nodes["switch0"]["reduces"] = True
    return graph


def template_and_link(hardware: Hardware) -> tuple[NodeTemplate, ScaleOut]:
    """Return the inside of a node, and the link of each of its adapters."""
    from clustersim.topology.builders.node import template_of
    from clustersim.topology.builders.wiring import ScaleOut

    node = hardware.node
    link = hardware.link or catalog.link(node.nic_link)
    via = ScaleOut(
        kind=link.kind,
        bandwidth_bytes_per_s=link.usable_bytes_per_s,
        latency_s=link.latency_s,
        endpoint_latency_s=link.endpoint_latency_s,
        message_overhead_s=link.message_overhead_s,
    )
    return (_staged(node) if hardware.is_staged else template_of(node)), via


def _staged(node: NodeType) -> NodeTemplate:
    """The inside of a node whose GPUs reach each other and the adapters through host memory alone."""
    from clustersim.topology.builders.node import template_of

    plain = replace(node, pcie_switches=0, sockets=1, socket_link=None, nic_attachment="host")
    template, memory = template_of(plain), catalog.link("host-memory")
    interior = template.interior
    leaving = list(interior.out_edges("host", keys=True, data=True))
    interior.remove_edges_from([(host, device, key) for host, device, key, _ in leaving])
    interior.add_node("memory", kind="host")
    interior.add_edges_from(("memory", device, fields) for _, device, _, fields in leaving)
    interior.add_edge(
        "host",
        "memory",
        bandwidth_bytes_per_s=memory.usable_bytes_per_s,
        latency_s=memory.latency_s,
        kind=memory.kind,
        tier="pcie",
        message_overhead_s=memory.message_overhead_s,
    )
    return template
