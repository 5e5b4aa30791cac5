"""Laying vertices and links: what all builders share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import networkx as nx

from clustersim import catalog
from clustersim.catalog.links import LinkType
from clustersim.spec.cluster import FabricSpec

__all__ = ["ScaleOut", "add_switches", "connect", "connect_nic", "connect_switches", "planes", "scale_out"]


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
    message_overhead_s
        What software adds once per message.
    """

    kind: str
    bandwidth_bytes_per_s: float
    latency_s: float
    endpoint_latency_s: float
    message_overhead_s: float

    def share(self, share: float) -> ScaleOut:
        """Return the same technology with a part of the bandwidth."""
        return replace(self, bandwidth_bytes_per_s=self.bandwidth_bytes_per_s * share)


def scale_out(fabric: FabricSpec, *, nic_link: str) -> ScaleOut:
    """Return a scenario's fabric technology with its overrides applied.

    *Equation.* bandwidth = (the scenario's line rate, else the link type's) × the link
    type's efficiency. A latency of the scenario's own is that of a link, ends included.

    Parameters
    ----------
    nic_link
        Link type where the scenario names none.

    Raises
    ------
    CatalogError
        If the link type is unknown.
    """
    link: LinkType = catalog.link(fabric.link or nic_link)
    line_rate = link.bandwidth_bytes_per_s if fabric.bandwidth is None else fabric.bandwidth
    own_latency = fabric.latency is not None
    return ScaleOut(
        kind=link.kind,
        bandwidth_bytes_per_s=line_rate * link.efficiency,
        latency_s=fabric.latency if fabric.latency is not None else link.latency_s,
        endpoint_latency_s=0.0 if own_latency else link.endpoint_latency_s,
        message_overhead_s=link.message_overhead_s,
    )


def planes(via: ScaleOut, count: int) -> Iterator[tuple[str, ScaleOut]]:
    """Yield for each of the parallel fabrics what its names begin with, and its part of a port."""
    for plane in range(count):
        yield f"plane{plane}/" if count > 1 else "", via.share(1 / count)


def connect(
    graph: nx.MultiDiGraph[str],
    one: str,
    other: str,
    *,
    bandwidth_bytes_per_s: float,
    latency_s: float,
    kind: str,
    tier: str,
    message_overhead_s: float = 0.0,
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
            message_overhead_s=message_overhead_s,
        )


def connect_nic(graph: nx.MultiDiGraph[str], nic: str, switch: str, *, via: ScaleOut) -> None:
    """Plug an adapter's port into a switch."""
    latency_s = via.latency_s + via.endpoint_latency_s
    connect(
        graph,
        nic,
        switch,
        bandwidth_bytes_per_s=via.bandwidth_bytes_per_s,
        latency_s=latency_s,
        kind=via.kind,
        tier="nic",
        message_overhead_s=via.message_overhead_s,
    )


def connect_switches(
    graph: nx.MultiDiGraph[str], lower: str, upper: str, *, via: ScaleOut, tier: str, share: float = 1.0
) -> None:
    """Join two switches by a link of `share` times the fabric's bandwidth."""
    connect(
        graph,
        lower,
        upper,
        bandwidth_bytes_per_s=via.bandwidth_bytes_per_s * share,
        latency_s=via.latency_s,
        kind=via.kind,
        tier=tier,
        message_overhead_s=via.message_overhead_s,
    )


def add_switches(graph: nx.MultiDiGraph[str], names: Iterable[str], *, level: int) -> None:
    """Add switches of one tier; level 1 is nearest to the nodes."""
    graph.add_nodes_from(names, kind="switch", level=level)
