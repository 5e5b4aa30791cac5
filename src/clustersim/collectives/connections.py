"""Connections between vertices of one topology, each made once, with what the software over them costs."""

from __future__ import annotations

from clustersim.catalog.collectives import CollectiveCosts, collective_costs
from clustersim.collectives.plan import Connection
from clustersim.topology import Topology
from clustersim.topology.contract import SCALE_UP_KINDS

__all__ = ["Connections"]

_INSIDE_KINDS = SCALE_UP_KINDS | {"pcie", "socket"}


class Connections:
    """Makes connections and keeps them; groups that run side by side share one."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._kept: dict[tuple[object, ...], Connection] = {}
        self._costs_by_rate: dict[tuple[str, float], CollectiveCosts] = {}
        self._speeds = topology.speeds

    def between(self, source: str, target: str, *, channel: int = 0, via: str = "") -> Connection:
        """Return the connection between two vertices, relayed by the GPU `via` where given.

        `channel` tells apart connections of one pair that may take different paths.
        """
        key = (source, target, channel, via)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._make(source, target, channel, via)
        return found

    def over(self, source: str, target: str, links: tuple[int, ...]) -> Connection:
        """Return the connection between two vertices over given links."""
        found = self._kept.get(links)
        if found is None:
            latency_s, ones = self.topology.latency_s(links), (1.0,) * len(links)
            costs, number = self._costs(links), len(self._kept)
            found = self._kept[links] = Connection(source, target, links, ones, 1, latency_s, costs, number)
        return found

    def _make(self, source: str, target: str, channel: int, via: str) -> Connection:
        if via and via not in (source, target):
            first, last = self.between(source, via), self.between(via, target, channel=channel)
            links, weights = first.links + last.links, first.weights + last.weights
            count, latency_s = last.multiplicity, first.latency_s + last.latency_s
        else:
            links, weights, count, latency_s = self.topology.path(source, target, connection=channel)
        costs, number = self._costs(links), len(self._kept)
        return Connection(source, target, links, weights, count, latency_s, costs, number)

    def _costs(self, links: tuple[int, ...]) -> CollectiveCosts:
        """Costs of the technology between nodes where the path leaves its node, else of its slowest link."""
        kinds, rate_of = self.topology.link_kind, self.topology.link_bandwidth_bytes_per_s.item
        outside = [link for link in links if kinds[link] not in _INSIDE_KINDS]
        rate, slowest = min([(rate_of(link), link) for link in outside or links])
        key = kinds[slowest], rate
        found = self._costs_by_rate.get(key)
        if found is None:
            as_built = rate / self._speeds.network_bandwidth
            costs = collective_costs(key[0], bandwidth_bytes_per_s=as_built)
            found = self._costs_by_rate[key] = costs.with_latencies_over(self._speeds.network_latency)
        return found
