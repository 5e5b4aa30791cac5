"""Laying vertices and links: what all builders share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx

from clustersim import catalog
from clustersim.catalog.links import LinkType
from clustersim.catalog.nodes import NodeType
from clustersim.spec.cluster import FabricSpec

__all__ = ["ScaleOut", "add_switches", "connect", "connect_nic", "connect_switches", "scale_out"]


@dataclass(frozen=True, kw_only=True)
class ScaleOut:
    """The technology of a fabric's links, per direction.

    Parameters
    ----------
    bandwidth_bytes_per_s
        Usable rate: line rate × efficiency.
    latency_s
        Of one traversal: a switch and its cable.
    endpoint_latency_s
        Added on each link that ends at an adapter.
    """

    kind: str
    bandwidth_bytes_per_s: float
    latency_s: float
    endpoint_latency_s: float


def scale_out(fabric: FabricSpec, *, node: NodeType) -> ScaleOut:
    """Return a scenario's fabric technology with its overrides applied.

    *Equation.* bandwidth = (the scenario's line rate, else the link type's) × the link
    type's efficiency. A latency of the scenario's own is that of a link, ends included.

    Raises
    ------
    CatalogError
        If the link type is unknown.
    """
    link: LinkType = catalog.link(fabric.link or node.nic_link)
    line_rate = link.bandwidth_bytes_per_s if fabric.bandwidth is None else fabric.bandwidth
    own_latency = fabric.latency is not None
    return ScaleOut(
        kind=link.kind,
        bandwidth_bytes_per_s=line_rate * link.efficiency,
        latency_s=fabric.latency if fabric.latency is not None else link.latency_s,
        endpoint_latency_s=0.0 if own_latency else link.endpoint_latency_s,
    )


def connect(
    graph: nx.MultiDiGraph[str],
    one: str,
    other: str,
    *,
    bandwidth_bytes_per_s: float,
    latency_s: float,
    kind: str,
    tier: str,
) -> None:
    """Add a link in each direction."""
    for source, target in ((one, other), (other, one)):
        graph.add_edge(
            source,
            target,
            bandwidth_bytes_per_s=bandwidth_bytes_per_s,
            latency_s=latency_s,
            kind=kind,
            tier=tier,
        )


def connect_nic(graph: nx.MultiDiGraph[str], nic: str, switch: str, *, via: ScaleOut) -> None:
    """Plug an adapter's port into a switch."""
    latency_s = via.latency_s + via.endpoint_latency_s
    rate = via.bandwidth_bytes_per_s
    connect(graph, nic, switch, bandwidth_bytes_per_s=rate, latency_s=latency_s, kind=via.kind, tier="nic")


def connect_switches(
    graph: nx.MultiDiGraph[str], lower: str, upper: str, *, via: ScaleOut, share: float, tier: str
) -> None:
    """Join two switches by a link of `share` times the fabric's bandwidth."""
    rate = via.bandwidth_bytes_per_s * share
    connect(
        graph, lower, upper, bandwidth_bytes_per_s=rate, latency_s=via.latency_s, kind=via.kind, tier=tier
    )


def add_switches(graph: nx.MultiDiGraph[str], names: Sequence[str], *, level: int) -> None:
    """Add switches of one tier; level 1 is nearest to the nodes."""
    graph.add_nodes_from(names, kind="switch", level=level)
