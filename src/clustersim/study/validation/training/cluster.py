"""From the words of a row to the topology that it ran on: idle, and blocking only where they say so."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from clustersim import catalog
from clustersim.catalog.hardware import Hardware, understand
from clustersim.catalog.links import LinkType
from clustersim.study.validation.training.fabric import Tiered, tiered
from clustersim.study.validation.training.row import TrainingRow
from clustersim.study.validation.training.torus import Slice, is_torus, slice_of

if TYPE_CHECKING:
    import networkx as nx

    from clustersim.topology import Topology

__all__ = ["hardware_of", "topology_of"]

_DOMAINS = re.compile(r"\bnvl\s*-?(?:72|36)\b|\bgb[23]00\b", re.IGNORECASE)
_DOMAIN, _USED_OF_DOMAIN = 72, 64
_KEPT = 4
_BUILT: dict[tuple[str, str], Topology] = {}


def hardware_of(row: TrainingRow) -> Hardware:
    """Return the hardware that a row names.

    Where no network between nodes is named, it is the one that the node type comes with. GB200 racks
    are one NVLink domain each, of which jobs take 64 GPUs (16 of 18 trays).

    Raises
    ------
    InputError
        With the word that is not understood.
    """
    return slice_of(row) if is_torus(row) else tiered(_nodes(row), row.network)


def _nodes(row: TrainingRow) -> Hardware:
    if _DOMAINS.search(f"{row.gpu} {row.system}"):
        return _domains(row)
    if row.nodes == 1 or row.network:
        return understand(
            gpu=row.gpu,
            nodes=row.nodes,
            gpus_per_node=row.nodes_of,
            inter_link=row.network,
            system=row.system,
        )
    one = understand(gpu=row.gpu, nodes=1, gpus_per_node=row.nodes_of, system=row.system)
    return _joined(one, row.nodes, None)


def _domains(row: TrainingRow) -> Hardware:
    """Return racks of one NVLink domain each; words about the network are those about a tray of one."""
    size = row.gpus if row.gpus <= _DOMAIN else _USED_OF_DOMAIN
    one = understand(gpu=row.gpu, nodes=1, gpus_per_node=size, system=row.system)
    racks = -(-row.gpus // size)
    if racks == 1:
        return one
    trays = understand(
        gpu=row.gpu, nodes=2, gpus_per_node=row.nodes_of, inter_link=row.network, system=row.system
    )
    return _joined(one, racks, trays.link)


def _joined(one: Hardware, nodes: int, link: LinkType | None) -> Hardware:
    """Return so many nodes, joined by the network that they come with if none is named."""
    if link is not None:
        return replace(one, nodes=nodes, link=link)
    link = catalog.link(one.node.nic_link)
    said = f"network between nodes not stated: {one.node.nics} x {link.name} of {one.node.name}"
    return replace(one, nodes=nodes, link=link, assumed=(*one.assumed, said))


def topology_of(hardware: Hardware) -> Topology:
    """Return the topology of some hardware; the last few are kept."""
    key = hardware.title, hardware.node.accelerator
    if key not in _BUILT:
        if len(_BUILT) >= _KEPT:
            _BUILT.pop(next(iter(_BUILT)))
        _BUILT[key] = _build(hardware)
    return _BUILT[key]


def _build(hardware: Hardware) -> Topology:
    from clustersim.study.validation.collectives.cluster import star_of
    from clustersim.topology.network import Topology

    if isinstance(hardware, Slice):
        return _torus(hardware)
    return Topology(_tiers(hardware) if isinstance(hardware, Tiered) else star_of(hardware), seed=0)


def _tiers(hardware: Tiered) -> nx.MultiDiGraph[str]:
    from clustersim.spec.topology import LeafSpineSpec, RailOptimizedSpec
    from clustersim.study.validation.collectives.cluster import template_and_link
    from clustersim.topology.builders.leaf_spine import build_leaf_spine
    from clustersim.topology.builders.rail_optimized import build_rail_optimized

    template, via = template_and_link(hardware)
    if hardware.rails:
        rails = RailOptimizedSpec.model_validate(hardware.topology)
        return build_rail_optimized(rails, node=template, via=via)
    leaves = LeafSpineSpec.model_validate(hardware.topology)
    return build_leaf_spine(leaves, node=template, via=via)


def _torus(hardware: Slice) -> Topology:
    from clustersim.spec.cluster import ClusterSpec
    from clustersim.topology.builder import build

    torus = {"kind": "torus", "dimensions": list(hardware.dimensions), "node": hardware.node.name}
    return build(ClusterSpec.model_validate({"topology": torus}))
