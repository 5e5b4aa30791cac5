"""The ranks of a collective where they are: nodes, rails and the connections between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from clustersim.catalog.collectives import CollectiveCosts, collective_costs
from clustersim.collectives.cycles import pack_cycles
from clustersim.collectives.plan import Connection
from clustersim.errors import InputError
from clustersim.topology import Topology
from clustersim.topology.contract import SCALE_UP_KINDS

__all__ = ["Group"]

_INSIDE_KINDS = SCALE_UP_KINDS | {"pcie", "socket"}


class Group:
    """GPUs that communicate, in rank order, on one topology.

    Parameters
    ----------
    gpus
        Vertex names; no GPU twice.
    channels
        Rings, pairs of trees or switch trees side by side, each with its part of the bytes.
        Default: across nodes one per rail that all nodes use, inside a node one, or as many as the
        direct links between its GPUs allow.
    chunks
        Chunks that pipelines divide their bytes into. Default: 64 step by step, and closed forms
        leave out the time that the first one takes to fill the pipeline.

    Raises
    ------
    InputError
        If a GPU is named twice or no GPU is named, or for a number below one.
    """

    def __init__(
        self,
        topology: Topology,
        gpus: Sequence[str],
        *,
        channels: int | None = None,
        chunks: int | None = None,
    ) -> None:
        _check_gpus(gpus)
        for name, value in (("channels", channels), ("chunks", chunks)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be one or more, got {value}")
        self.topology = topology
        self.gpus = tuple(gpus)
        self.channels = channels
        self.chunks = chunks
        self._cycles: dict[int, list[tuple[str, ...]]] = {}
        self._connections: dict[tuple[object, ...], Connection] = {}
        self._costs_by_link: dict[int, CollectiveCosts] = {}

    def __len__(self) -> int:
        return len(self.gpus)

    @cached_property
    def rank(self) -> dict[str, int]:
        """Rank of each GPU."""
        return {gpu: rank for rank, gpu in enumerate(self.gpus)}

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
    def columns(self) -> tuple[tuple[str, ...], ...]:
        """The k-th ranks of all nodes, for each k; of even nodes only."""
        return tuple(zip(*self.nodes, strict=True))

    @cached_property
    def leaders(self) -> tuple[tuple[str, ...], ...]:
        """For each node, the GPU that stands for each channel, rail after rail.

        The rails are those that all nodes use; where the nodes share no rail, the k-th rail of one
        node talks to the k-th of the next.
        """
        by_node = [{self.topology.rail(gpu): gpu for gpu in reversed(node)} for node in self.nodes]
        common = sorted(set.intersection(*(set(rails) for rails in by_node)))
        if common:
            found = [[rails[rail] for rail in common] for rails in by_node]
        else:
            count = min(len(rails) for rails in by_node)
            found = [[rails[rail] for rail in sorted(rails)[:count]] for rails in by_node]
        channels = self.channels or len(found[0])
        return tuple(tuple(rails[channel % len(rails)] for channel in range(channels)) for rails in found)

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

    def connect(self, source: str, target: str, *, channel: int = 0, via: str = "") -> Connection:
        """Return the connection between two vertices, relayed by the GPU `via` where given.

        `channel` tells apart connections of one pair that may take different paths.
        """
        key = (source, target, channel, via)
        found = self._connections.get(key)
        if found is None:
            found = self._connections[key] = self._make(source, target, channel, via)
        return found

    def over(self, source: str, target: str, links: tuple[int, ...]) -> Connection:
        """Return the connection between two vertices over given links."""
        found = self._connections.get(links)
        if found is None:
            latency_s = self.topology.latency_s(links)
            found = self._connections[links] = Connection(
                source, target, links, (1.0,) * len(links), 1, latency_s, self._costs(links), self._number()
            )
        return found

    def _make(self, source: str, target: str, channel: int, via: str) -> Connection:
        if via and via not in (source, target):
            first, last = self.connect(source, via), self.connect(via, target, channel=channel)
            links, weights = first.links + last.links, first.weights + last.weights
            count, latency_s = last.multiplicity, first.latency_s + last.latency_s
        else:
            links, weights, count, latency_s = self.topology.path(source, target, connection=channel)
        return Connection(
            source, target, links, weights, count, latency_s, self._costs(links), self._number()
        )

    def _number(self) -> int:
        return len(self._connections)

    def is_scale_up(self, source: str, target: str) -> bool:
        """Whether two GPUs reach each other by NVLink or its like alone."""
        kinds = self.topology.link_kind
        return all(kinds[link] in SCALE_UP_KINDS for link in self.topology.route(source, target))

    def _costs(self, links: tuple[int, ...]) -> CollectiveCosts:
        """Costs of the technology between nodes where the path leaves its node, else of its slowest link."""
        kinds, rates = self.topology.link_kind, self._rates
        outside = [link for link in links if kinds[link] not in _INSIDE_KINDS]
        rate, slowest = min([(rates[link], link) for link in outside or links])
        found = self._costs_by_link.get(slowest)
        if found is None:
            found = collective_costs(kinds[slowest], bandwidth_bytes_per_s=rate)
            self._costs_by_link[slowest] = found
        return found

    @cached_property
    def _rates(self) -> list[float]:
        """Bandwidth of each link, bytes/s."""
        rates: list[float] = self.topology.link_bandwidth_bytes_per_s.tolist()
        return rates


def _check_gpus(gpus: Sequence[str]) -> None:
    if not gpus:
        raise InputError("a communicator needs at least one GPU")
    if len(set(gpus)) < len(gpus):
        twice, _ = Counter(gpus).most_common(1)[0]
        raise InputError(f"a communicator names each GPU once; '{twice}' is named twice")
