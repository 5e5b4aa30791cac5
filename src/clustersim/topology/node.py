"""The vertices and links of one node, as its type in the catalogue says."""

from __future__ import annotations

import networkx as nx

from clustersim import catalog
from clustersim.catalog.nodes import NodeType
from clustersim.topology.wiring import connect

__all__ = ["add_node"]


def add_node(graph: nx.MultiDiGraph[str], name: str, *, node_type: NodeType) -> tuple[str, ...]:
    """Add a node's GPUs, adapters, host and the links among them; return its adapters.

    GPU n is `name/gpuN`, adapter n `name/nicN`; the host is `name/host` and a scale-up
    switch `name/nvswitch`. Adapter `n·nics // gpus` is the one nearest to GPU n.

    **Checked by:** tests/topology/test_nodes.py.
    """
    gpus = [f"{name}/gpu{n}" for n in range(node_type.gpus)]
    nics = tuple(f"{name}/nic{n}" for n in range(node_type.nics))
    graph.add_nodes_from(gpus, kind="gpu", node=name, accelerator=node_type.accelerator)
    graph.add_nodes_from(nics, kind="nic", node=name)
    graph.add_node(f"{name}/host", kind="host", node=name)
    _add_scale_up(graph, name, gpus, node_type)
    _add_pcie(graph, name, gpus, nics, node_type)
    return nics


def _add_scale_up(graph: nx.MultiDiGraph[str], name: str, gpus: list[str], node_type: NodeType) -> None:
    if node_type.scale_up is None or len(gpus) == 1:
        return
    link = catalog.link(node_type.scale_up)
    if node_type.scale_up_layout == "switch":
        graph.add_node(f"{name}/nvswitch", kind="switch", node=name)
        pairs = [(gpu, f"{name}/nvswitch", 1.0) for gpu in gpus]
    else:
        pairs = [(gpus[one], gpus[other], share) for one, other, share in _direct_pairs(node_type)]
    for one, other, share in pairs:
        rate = link.usable_bytes_per_s * share
        connect(
            graph,
            one,
            other,
            bandwidth_bytes_per_s=rate,
            latency_s=link.latency_s,
            kind=link.kind,
            tier="scale-up",
        )


def _direct_pairs(node_type: NodeType) -> list[tuple[int, int, float]]:
    """Pairs of GPUs that are joined directly, with the share of a GPU's bandwidth."""
    gpus = node_type.gpus
    if node_type.scale_up_layout == "mesh":
        return [(one, other, 1 / (gpus - 1)) for one in range(gpus) for other in range(one + 1, gpus)]
    lanes = node_type.scale_up_lanes
    lanes_of_one_gpu = max(sum(count for *ends, count in lanes if gpu in ends) for gpu in range(gpus))
    return [(one, other, count / lanes_of_one_gpu) for one, other, count in lanes]


def _add_pcie(
    graph: nx.MultiDiGraph[str], name: str, gpus: list[str], nics: tuple[str, ...], node_type: NodeType
) -> None:
    """Each GPU and adapter has PCIe to the host; adapters beside GPUs also to those."""
    link = catalog.link(node_type.gpu_nic_link)
    pairs = [(device, f"{name}/host") for device in (*gpus, *nics)]
    if node_type.nic_attachment == "gpu":
        pairs += [(gpu, nics[n * len(nics) // len(gpus)]) for n, gpu in enumerate(gpus)]
    rate = link.usable_bytes_per_s
    for one, other in pairs:
        connect(
            graph,
            one,
            other,
            bandwidth_bytes_per_s=rate,
            latency_s=link.latency_s,
            kind=link.kind,
            tier="pcie",
        )
