"""From the words of a row to the topology that it ran on: an idle network that never blocks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from clustersim import catalog
from clustersim.catalog.hardware import Hardware, understand
from clustersim.study.validation.training_row import TrainingRow

if TYPE_CHECKING:
    from clustersim.topology import Topology

__all__ = ["hardware_of", "topology_of"]

_DOMAINS = re.compile(r"\bnvl\s*-?(?:72|36)\b|\bgb[23]00\b", re.IGNORECASE)
_IN_DOMAIN = 64
_KEPT = 4
_BUILT: dict[str, Topology] = {}


def hardware_of(row: TrainingRow) -> Hardware:
    """Return the hardware that a row names.

    Where no network between nodes is named, it is the one that the node type comes with. GB200 racks
    are one NVLink domain each, of which jobs take 64 GPUs (16 of 18 trays).

    Raises
    ------
    InputError
        With the word that is not understood.
    """
    words = f"{row.gpu} {row.system}"
    if _DOMAINS.search(words):
        size = row.gpus if row.gpus <= _IN_DOMAIN + 8 else _IN_DOMAIN
        row = replace(row, nodes_of=size)
    if row.nodes == 1 or row.network:
        return understand(
            gpu=row.gpu,
            nodes=row.nodes,
            gpus_per_node=row.nodes_of,
            inter_link=row.network,
            system=row.system,
        )
    one = understand(gpu=row.gpu, nodes=1, gpus_per_node=row.nodes_of, system=row.system)
    link = catalog.link(one.node.nic_link)
    said = f"network between nodes not stated: {one.node.nics} x {link.name} of {one.node.name}"
    return replace(one, nodes=row.nodes, link=link, assumed=(*one.assumed, said))


def topology_of(hardware: Hardware) -> Topology:
    """Return the topology of some hardware; the last few are kept."""
    from clustersim.study.validation.collectives_cluster import star_of
    from clustersim.topology.network import Topology

    if hardware.title not in _BUILT:
        if len(_BUILT) >= _KEPT:
            _BUILT.pop(next(iter(_BUILT)))
        _BUILT[hardware.title] = Topology(star_of(hardware), seed=0)
    return _BUILT[hardware.title]
