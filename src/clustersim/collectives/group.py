"""The ranks of a collective where they are: nodes, rails and routes between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from clustersim.catalog.collectives import CollectiveCosts, collective_costs
from clustersim.collectives.cycles import pack_cycles
from clustersim.collectives.plan import Connection
from clustersim.errors import InputError
from clustersim.topology import Topology
from clustersim.topology.contract import SCALE_UP_KINDS

__all__ = ["Group"]

_INSIDE_KINDS = SCALE_UP_KINDS | {"pcie"}


class Group:
    """GPUs that communicate, in rank order, on one topology.

    Parameters
    ----------
    gpus
        Vertex names; no GPU twice.

    Raises
    ------
    InputError
        If a GPU is named twice or no GPU is named.
    """

    def __init__(self, topology: Topology, gpus: Sequence[str]) -> None:
        if not gpus:
            raise InputError("a communicator needs at least one GPU")
        if len(set(gpus)) < len(gpus):
            twice = next(gpu for index, gpu in enumerate(gpus) if gpu in gpus[:index])
            raise InputError(f"a communicator names each GPU once; '{twice}' is named twice")
        self.topology = topology
        self.gpus = tuple(gpus)
        self._cycles: dict[int, list[tuple[str, ...]]] = {}

    def __len__(self) -> int:
        return len(self.gpus)

    @cached_property
    def nodes(self) -> tuple[tuple[str, ...], ...]:
        """GPUs by node, nodes in the order of their first rank."""
        members: dict[str, list[str]] = {}
        for gpu in self.gpus:
            members.setdefault(self.topology.node_of(gpu), []).append(gpu)
        return tuple(map(tuple, members.values()))

    @cached_property
    def is_even(self) -> bool:
        """Whether every node holds the same number of ranks."""
        return len({len(node) for node in self.nodes}) == 1

    @cached_property
    def leaders(self) -> tuple[tuple[str, ...], ...]:
        """For each node, the GPU that stands for each channel: one per rail that all nodes use.

        Where the nodes share no rail, the k-th rail of one node talks to the k-th of the next.
        """
        by_node = [{self.topology.rail(gpu): gpu for gpu in reversed(node)} for node in self.nodes]
        common = sorted(set.intersection(*(set(rails) for rails in by_node)))
        if common:
            return tuple(tuple(rails[rail] for rail in common) for rails in by_node)
        channels = min(len(rails) for rails in by_node)
        return tuple(tuple(rails[rail] for rail in sorted(rails)[:channels]) for rails in by_node)

    def order(self, node: int, channel: int) -> tuple[str, ...]:
        """Return the ranks of a node as channel `channel` passes them, its leader first.

        Where GPUs are joined directly the order follows their lanes.
        """
        gpus, leader = self.nodes[node], self.leaders[node][channel]
        cycles = self.cycles(node)
        if cycles:
            gpus = cycles[channel % len(cycles)]
        start = gpus.index(leader)
        return (*gpus[start:], *gpus[:start])

    def cycles(self, node: int) -> list[tuple[str, ...]]:
        """Return orders of a node's ranks that follow direct links and share none; may be empty."""
        if node not in self._cycles:
            gpus = self.nodes[node]
            found = pack_cycles(self._lanes(gpus), size=len(gpus))
            self._cycles[node] = [tuple(gpus[place] for place in cycle) for cycle in found]
        return self._cycles[node]

    def _lanes(self, gpus: Sequence[str]) -> dict[tuple[int, int], int]:
        """Lanes between GPUs that are joined directly, in units of the thinnest, by place in `gpus`."""
        place = {gpu: index for index, gpu in enumerate(gpus)}
        rates = {
            (place[gpu], place[other]): sum(float(link["bandwidth_bytes_per_s"]) for link in links.values())
            for gpu in gpus
            for other, links in self.topology.graph.succ[gpu].items()
            if other in place
        }
        thinnest = min(rates.values(), default=1.0)
        return {ends: round(rate / thinnest) for ends, rate in rates.items()}

    def connect(
        self, source: str, target: str, *, channel: int = 0, share: float = 1.0, via: str = ""
    ) -> Connection:
        """Return the connection between two vertices, relayed by the GPU `via` where given."""
        if via and via not in (source, target):
            links = self.topology.route(source, via) + self.topology.route(via, target, connection=channel)
        else:
            links = self.topology.route(source, target, connection=channel)
        return self.over(source, target, links, share=share)

    def over(self, source: str, target: str, links: tuple[int, ...], *, share: float = 1.0) -> Connection:
        """Return the connection between two vertices over given links."""
        return Connection(source, target, links, share, self.topology.latency_s(links), self._costs(links))

    def is_scale_up(self, source: str, target: str) -> bool:
        """Whether two GPUs reach each other by NVLink or its like alone."""
        kinds = self.topology.link_kind
        return all(kinds[link] in SCALE_UP_KINDS for link in self.topology.route(source, target))

    def _costs(self, links: tuple[int, ...]) -> CollectiveCosts:
        """Costs of the technology between nodes where the route leaves its node, else of its slowest link."""
        kinds, rates = self.topology.link_kind, self.topology.link_bandwidth_bytes_per_s
        outside = [link for link in links if kinds[link] not in _INSIDE_KINDS]
        slowest = min(outside or links, key=lambda link: (float(rates[link]), link))
        return collective_costs(kinds[slowest], bandwidth_bytes_per_s=float(rates[slowest]))
