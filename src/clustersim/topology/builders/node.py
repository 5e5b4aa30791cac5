"""What is inside one node, as a template that builders copy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx

from clustersim import catalog
from clustersim.catalog.nodes import NodeType
from clustersim.topology.builders.wiring import connect

__all__ = ["NodeTemplate", "template_of"]


@dataclass(frozen=True, kw_only=True)
class NodeTemplate:
    """The vertices and links of one node, named as inside it (`gpu0`), ready to be copied.

    Parameters
    ----------
    name
        What messages call it.
    interior
        Keeps the graph contract but for the `node` of its vertices.
    gpus, nics
        Names of its GPUs in rank order, and of its adapters.
    nic_link
        Link type of an adapter's port, or of each link of a chip that forwards.
    chip_grid
        Shape of the block of chips that one host has, for chips that forward; else empty.
    """

    name: str
    interior: nx.MultiDiGraph[str]
    gpus: tuple[str, ...]
    nics: tuple[str, ...]
    nic_link: str
    chip_grid: tuple[int, ...] = ()

    def add(self, graph: nx.MultiDiGraph[str], node: str) -> tuple[str, ...]:
        """Add a node to a graph; return its adapters.

        **Checked by:** tests/topology/test_nodes.py.
        """
        vertices = self.interior.nodes(data=True)
        links = self.interior.edges(data=True)
        graph.add_nodes_from((f"{node}/{vertex}", {**fields, "node": node}) for vertex, fields in vertices)
        graph.add_edges_from((f"{node}/{one}", f"{node}/{other}", {**fields}) for one, other, fields in links)
        return tuple(f"{node}/{nic}" for nic in self.nics)


def template_of(node_type: NodeType) -> NodeTemplate:
    """Return the inside of a node type of the catalogue.

    GPU n is `gpuN`, adapter n `nicN`, PCIe switch n `pcieN`, the scale-up switch
    `nvswitch`; the host is `host`, with several sockets `host0`, `host1` and so on.
    Adapter `n·nics // gpus` is the one nearest to GPU n. Where there are PCIe switches, a
    link between a GPU or adapter and the host is two: each has half of its latency and all
    of its bandwidth, so what hangs on one switch shares one uplink.

    **Checked by:** tests/topology/test_nodes.py.
    """
    interior: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    gpus = tuple(f"gpu{n}" for n in range(node_type.gpus))
    nics = tuple(f"nic{n}" for n in range(node_type.nics))
    interior.add_nodes_from(gpus, kind="gpu", accelerator=node_type.accelerator)
    interior.add_nodes_from(nics, kind="nic")
    if not node_type.chip_grid:
        _add_scale_up(interior, gpus, node_type)
        _add_pcie(interior, gpus, nics, node_type)
    return NodeTemplate(
        name=node_type.name,
        interior=interior,
        gpus=gpus,
        nics=nics,
        nic_link=node_type.nic_link,
        chip_grid=node_type.chip_grid,
    )


def _add_scale_up(graph: nx.MultiDiGraph[str], gpus: tuple[str, ...], node_type: NodeType) -> None:
    if node_type.scale_up is None or len(gpus) == 1:
        return
    link = catalog.link(node_type.scale_up)
    if node_type.scale_up_layout == "switch":
        graph.add_node("nvswitch", kind="switch")
        pairs = [(gpu, "nvswitch", 1.0) for gpu in gpus]
    else:
        pairs = [(gpus[one], gpus[other], share) for one, other, share in _direct_pairs(node_type)]
    look: dict[str, Any] = {
        "latency_s": link.latency_s,
        "kind": link.kind,
        "tier": "scale-up",
        "message_overhead_s": link.message_overhead_s,
    }
    for one, other, share in pairs:
        connect(graph, one, other, bandwidth_bytes_per_s=link.usable_bytes_per_s * share, **look)


def _direct_pairs(node_type: NodeType) -> list[tuple[int, int, float]]:
    """Pairs of GPUs that are joined directly, with the share of a GPU's bandwidth."""
    gpus = node_type.gpus
    if node_type.scale_up_layout == "mesh":
        return [(one, other, 1 / (gpus - 1)) for one, other in itertools.combinations(range(gpus), 2)]
    lanes = node_type.scale_up_lanes
    lanes_of_one_gpu = max(sum(count for *ends, count in lanes if gpu in ends) for gpu in range(gpus))
    return [(one, other, count / lanes_of_one_gpu) for one, other, count in lanes]


def _add_pcie(
    graph: nx.MultiDiGraph[str], gpus: tuple[str, ...], nics: tuple[str, ...], node_type: NodeType
) -> None:
    """Lay PCIe between GPUs, adapters, switches and sockets, and the link between sockets."""
    link = catalog.link(node_type.gpu_nic_link)
    sockets = _sockets(node_type)
    graph.add_nodes_from(sockets, kind="host")
    graph.add_nodes_from((f"pcie{n}" for n in range(node_type.pcie_switches)), kind="switch")
    look: dict[str, Any] = {
        "kind": link.kind,
        "tier": "pcie",
        "message_overhead_s": link.message_overhead_s,
    }
    for one, other, halves in _pcie_pairs(gpus, nics, sockets, node_type):
        rate, latency_s = link.usable_bytes_per_s, link.latency_s * halves / 2
        connect(graph, one, other, bandwidth_bytes_per_s=rate, latency_s=latency_s, **look)
    if node_type.socket_link:
        between = catalog.link(node_type.socket_link)
        rate, look = between.usable_bytes_per_s, {"kind": between.kind, "tier": "socket"}
        for one, other in itertools.combinations(sockets, 2):
            connect(graph, one, other, bandwidth_bytes_per_s=rate, latency_s=between.latency_s, **look)


def _sockets(node_type: NodeType) -> tuple[str, ...]:
    return ("host",) if node_type.sockets == 1 else tuple(f"host{n}" for n in range(node_type.sockets))


def _pcie_pairs(
    gpus: tuple[str, ...], nics: tuple[str, ...], sockets: tuple[str, ...], node_type: NodeType
) -> Iterator[tuple[str, str, int]]:
    """Yield what PCIe joins, and how many halves of a GPU's way to the host each link is."""
    switches = tuple(f"pcie{n}" for n in range(node_type.pcie_switches))
    beside_gpu = node_type.nic_attachment == "gpu"
    on_switches = (*_spread(gpus, switches), *(_spread(nics, switches) if beside_gpu else ()))
    if switches:
        yield from ((device, switch, 1) for device, switch in on_switches)
        yield from ((switch, socket, 1) for switch, socket in _spread(switches, sockets))
    else:
        yield from ((gpu, socket, 2) for gpu, socket in _spread(gpus, sockets))
        if beside_gpu:
            yield from ((gpu, nic, 2) for gpu, nic in _spread(gpus, nics))
    if not (switches and beside_gpu):
        yield from ((nic, socket, 2) for nic, socket in _spread(nics, sockets))


def _spread(items: tuple[str, ...], over: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pair items with `over`, evenly and in order."""
    return [(item, over[n * len(over) // len(items)]) for n, item in enumerate(items) if over]
