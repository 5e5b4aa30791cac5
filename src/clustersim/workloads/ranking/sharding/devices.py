"""The GPUs that tables are divided over, as a planner sees them: memory, rates, and how nodes group them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator
from clustersim.topology.hosts import hosts_of
from clustersim.topology.network import Topology

__all__ = ["Devices", "devices_of"]


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Equal ranks in equal nodes.

    Parameters
    ----------
    memory_bytes
        Of one GPU.
    scale_up_bytes_per_s, scale_out_bytes_per_s, host_bytes_per_s
        Of one GPU, per direction: to the others of its node, to other nodes, to its host.
    """

    accelerator: Accelerator
    ranks: int
    ranks_per_node: int
    memory_bytes: float
    scale_up_bytes_per_s: float
    scale_out_bytes_per_s: float
    host_bytes_per_s: float

    @property
    def nodes(self) -> int:
        """Nodes, the last of which may not be full."""
        return -(-self.ranks // self.ranks_per_node)

    def exchange_s(self, bytes_to_each: float) -> float:
        """Return how long a rank sends so many bytes to each rank, itself among them.

        *Equation:* max((G − 1)·b/B_up, (R − G)·b/B_out) for R ranks in nodes of G.
        """
        inside = (self.ranks_per_node - 1) / self.scale_up_bytes_per_s
        outside = (self.ranks - self.ranks_per_node) / self.scale_out_bytes_per_s
        return bytes_to_each * max(inside, outside, 0.0)


def devices_of(topology: Topology, gpus: Sequence[str]) -> Devices:
    """Return what a planner sees of some GPUs of a cluster.

    Rates are those of the hardware as built: a plan is a decision, and stays the same while a study varies
    `cluster.speeds` by a few percent. Memory is what the scenario has.

    **Valid when** all GPUs are alike, and as many in each node, those of a node one after the other; where
    they are not, each counts as a node of its own, and no table is divided inside a node.
    """
    first = gpus[0]
    accelerator = catalog.accelerator(topology.accelerator_of(first))
    node = topology.node_of(first)
    inside = [gpu for gpu in gpus if topology.node_of(gpu) == node]
    outside = next((gpu for gpu in gpus if topology.node_of(gpu) != node), None)
    as_built = 1.0 / topology.speeds.network_bandwidth
    within = accelerator.scale_up_bandwidth_bytes_per_s
    if within is None:
        within = _rate(topology, first, inside[1]) * as_built if len(inside) > 1 else float("inf")
    return Devices(
        accelerator=accelerator,
        ranks=len(gpus),
        ranks_per_node=len(inside) if _node_by_node(topology, gpus, len(inside)) else 1,
        memory_bytes=topology.memory_bytes(first),
        scale_up_bytes_per_s=within,
        scale_out_bytes_per_s=_rate(topology, first, outside) * as_built if outside else within,
        host_bytes_per_s=_host_rate(topology, first) * as_built,
    )


def _node_by_node(topology: Topology, gpus: Sequence[str], per_node: int) -> bool:
    """Whether ranks of a node follow each other, as many in each but the last."""
    nodes = [topology.node_of(gpu) for gpu in gpus]
    blocks = [nodes[first : first + per_node] for first in range(0, len(nodes), per_node)]
    return all(len(set(block)) == 1 for block in blocks) and len({block[0] for block in blocks}) == len(
        blocks
    )


def _rate(topology: Topology, source: str, target: str) -> float:
    links = list(topology.path(source, target).links)
    return float(topology.link_bandwidth_bytes_per_s[links].min())


def _host_rate(topology: Topology, gpu: str) -> float:
    node = topology.node_of(gpu)
    has_host = any(
        fields["kind"] == "host" and fields.get("node") == node
        for _, fields in topology.graph.nodes(data=True)
    )
    return _rate(topology, gpu, hosts_of(topology, [gpu])[gpu]) if has_host else float("inf")
