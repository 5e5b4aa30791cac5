"""The ranks of a collective where they are: nodes, rails and the connections between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import chain

from clustersim.collectives.connections import Connections
from clustersim.collectives.cycles import pack_cycles
from clustersim.errors import InputError
from clustersim.topology import Topology
from clustersim.topology.contract import SCALE_UP_KINDS

__all__ = ["Group", "check_side_by_side"]


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
    connections
        Where it keeps its connections, if it shares them with others.

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
        connections: Connections | None = None,
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
        kept = connections or Connections(topology)
        self.connect = kept.between
        """Returns the connection between two vertices."""
        self.over = kept.over
        """Returns the connection between two vertices over given links."""

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
        if len(self.nodes) == len(self.gpus):
            return tuple(node * (self.channels or 1) for node in self.nodes)
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
        if len(gpus) == 1:
            return gpus
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

    def is_scale_up(self, source: str, target: str) -> bool:
        """Whether two GPUs reach each other by NVLink or its like alone."""
        kinds = self.topology.link_kind
        return all(kinds[link] in SCALE_UP_KINDS for link in self.topology.route(source, target))


def _check_gpus(gpus: Sequence[str]) -> None:
    if not gpus:
        raise InputError("a communicator needs at least one GPU")
    if len(set(gpus)) < len(gpus):
        twice, _ = Counter(gpus).most_common(1)[0]
        raise InputError(f"a communicator names each GPU once; '{twice}' is named twice")


def check_side_by_side(groups: Sequence[Group]) -> None:
    """Raise `InputError` where groups cannot do the same side by side: unequal sizes, or a common GPU."""
    sizes = sorted({len(group) for group in groups})
    if len(sizes) > 1:
        counts = ", ".join(map(str, sizes))
        raise InputError(f"groups that run in lockstep have equally many ranks; there are some of {counts}")
    if sizes[0] > 2:
        gpu, count = Counter(chain.from_iterable(group.gpus for group in groups)).most_common(1)[0]
        if count > 1:
            raise InputError(f"'{gpu}' is in {count} groups; groups that run in lockstep share no GPU")
