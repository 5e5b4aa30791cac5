"""All-reduce in the network: switches add what comes up and copy what goes down (SHARP, CollNet).

Each rank's bytes go once to its node's GPU for the channel, once up a tree of switches and once down.

**Source:** Graham et al., Scalable Hierarchical Aggregation Protocol (SHARP), COM-HPC 2016; NCCL,
algorithm CollNetDirect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Connection, NotApplicableError, Payload, Phase, Plan, pipeline

__all__ = ["sharp_plans"]


def sharp_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce that the fabric's switches reduce: one tree per rail.

    *Equation.* With C channels, one per NIC of rate R: ``T = 2·(α + h·β) + S / (C R)``, h the hops
    up the tree; inside a node each rank sends each channel's GPU its part and gets the result from it.

    Raises
    ------
    NotApplicableError
        On a single node, and where no switch between the nodes can add.
    """
    if len(group.nodes) < 2:
        raise NotApplicableError("reduction in the network is for ranks on several nodes")
    channels = len(group.leaders[0])
    flow = _Flow(group, channels)
    for channel in range(channels):
        flow.append(channel, SwitchTree.over(group, channel))
    return (Plan("sharp", "sharp", (flow.phase(),), channels),)


@dataclass
class SwitchTree:
    """What adds, from the leaders of the nodes to the root: each vertex with the one above it.

    Parameters
    ----------
    above
        Vertex to its parent: the next switch that adds on its way to the root.
    """

    root: str
    above: dict[str, str] = field(default_factory=dict)
    up: dict[str, Connection] = field(default_factory=dict)
    down: dict[str, Connection] = field(default_factory=dict)

    @classmethod
    def over(cls, group: Group, channel: int) -> SwitchTree:
        """Return the tree of a channel: its root is the middle of the way to the farthest leader."""
        leaders = [leaders[channel] for leaders in group.leaders]
        tree = cls(_root(group, leaders, channel))
        for leader in leaders:
            tree._climb(group, leader, channel)
        return tree

    def _climb(self, group: Group, leader: str, channel: int) -> None:
        """Add the way from a leader to the root, as far as it is not there yet."""
        at, links = leader, []
        for link in group.topology.route(leader, self.root, connection=channel):
            links.append(link)
            vertex = group.topology.link_ends[link][1]
            if vertex != self.root and not _adds(group, vertex):
                continue
            self.above[at] = vertex
            self.up[at] = group.over(at, vertex, tuple(links))
            self.down[at] = group.connect(vertex, at, channel=channel)
            if vertex in self.above:
                return
            at, links = vertex, []

    def vertices(self) -> list[str]:
        """Return all vertices but the root, each after those below it."""
        level = {vertex: self._height(vertex) for vertex in self.above}
        return sorted(self.above, key=lambda vertex: -level[vertex])

    def _height(self, vertex: str) -> int:
        hops = 0
        while vertex != self.root:
            vertex, hops = self.above[vertex], hops + 1
        return hops


def _adds(group: Group, vertex: str) -> bool:
    return bool(group.topology.graph.nodes[vertex].get("reduces"))


def _root(group: Group, leaders: Sequence[str], channel: int) -> str:
    ends = group.topology.link_ends
    routes = (group.topology.route(leaders[0], other, connection=channel) for other in leaders[1:])
    longest = max(routes, key=len)
    passed = [ends[link][1] for link in longest[:-1]]
    adding = [place for place, vertex in enumerate(passed) if _adds(group, vertex)]
    if not adding:
        raise NotApplicableError(
            "no switch between the nodes can add; say 'in_network_reduction: true' for the fabric"
        )
    middle = (len(passed) - 1) / 2
    return passed[min(adding, key=lambda place: (abs(place - middle), place))]


class _Flow:
    """Connections of all channels in the order of the data."""

    def __init__(self, group: Group, channels: int) -> None:
        self._group = group
        self._channels = channels
        self._connections: list[Connection] = []
        self._feeds: list[tuple[int, ...]] = []
        self._means: list[Payload] = []

    def _add(self, connection: Connection, feeds: Sequence[int], channel: int, *, reduces: bool) -> int:
        self._connections.append(connection)
        self._feeds.append(tuple(feeds))
        self._means.append(Payload((channel,), reduces))
        return len(self._connections) - 1

    def append(self, channel: int, tree: SwitchTree) -> None:
        """Append a channel: inside nodes to the leaders, up the tree, down, and out in the nodes."""
        group = self._group
        arrivals: dict[str, list[int]] = {}
        leaders = [leaders[channel] for leaders in group.leaders]
        others = [
            (leader, [gpu for gpu in node if gpu != leader])
            for leader, node in zip(leaders, group.nodes, strict=True)
        ]
        for leader, gpus in others:
            arrivals[leader] = [
                self._add(group.connect(gpu, leader), (), channel, reduces=True) for gpu in gpus
            ]
        order = tree.vertices()
        for vertex in order:
            index = self._add(tree.up[vertex], arrivals.get(vertex, ()), channel, reduces=True)
            arrivals.setdefault(tree.above[vertex], []).append(index)
        sources = {tree.root: tuple(arrivals[tree.root])}
        for vertex in reversed(order):
            index = self._add(tree.down[vertex], sources[tree.above[vertex]], channel, reduces=False)
            sources[vertex] = (index,)
        for leader, gpus in others:
            for gpu in gpus:
                self._add(group.connect(leader, gpu), sources[leader], channel, reduces=False)

    def phase(self) -> Phase:
        """Return it all as one pipeline."""
        volumes = [1 / self._channels] * len(self._connections)
        means = self._means
        return pipeline(
            self._connections, volumes, self._feeds, lambda index, _: means[index], chunks=self._group.chunks
        )
