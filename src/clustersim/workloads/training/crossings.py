"""Who of a group is in which node: what a collective has to send from node to node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from clustersim.topology import Topology
from clustersim.workloads.training.layout import Layout

__all__ = ["Crossings", "GroupOverNodes", "NodeMap"]

_SHARE: Mapping[str, float] = {
    "all_reduce": 2.0,
    "reduce_scatter": 1.0,
    "all_gather": 1.0,
    "send_recv": 1.0,
}
"""Times that each byte of the buffer has to pass every rank or node."""


class NodeMap:
    """The nodes of a cluster: who is in which, and how fast they send.

    Parameters
    ----------
    topology
        Its links between a node and what is outside are what nodes send over.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.node_of: dict[str, str] = {
            gpu: node for node, gpus in topology.gpus_by_node.items() for gpu in gpus
        }

    @cached_property
    def egress_bytes_per_s(self) -> float:
        """Rate of all links that leave a node together; of the fastest node, as bounds want it."""
        rates: Counter[str] = Counter()
        nodes = self.topology.graph.nodes(data="node")
        of = dict(nodes)
        links = zip(self.topology.link_ends, self.topology.link_bandwidth_bytes_per_s.tolist(), strict=True)
        for (source, target), rate in links:
            node = of.get(source)
            if node is not None and of.get(target) != node:
                rates[node] += rate
        return max(rates.values(), default=0.0)

    @cached_property
    def adds(self) -> bool:
        """Whether switches between the nodes add up what passes them."""
        return any(reduces for _, reduces in self.topology.graph.nodes(data="reduces"))


class GroupOverNodes:
    """A group of ranks by node.

    Parameters
    ----------
    members
        Nodes of the ranks.
    """

    __slots__ = ("by_node", "size")

    def __init__(self, members: Sequence[str]) -> None:
        self.by_node = Counter(members)
        self.size = len(members)

    @property
    def inside(self) -> bool:
        """Whether all are in one node."""
        return len(self.by_node) == 1

    def ring_bytes(self, collective: str, size_bytes: float) -> float:
        """Return the bytes that leave nodes where collectives are rings that go through each node once.

        *Equation.* With n ranks in G nodes: all-gather and reduce-scatter G·S·(n - 1)/n, all-reduce twice
        that; all-to-all, which is no ring, sends each pair's part S/n.
        """
        if self.inside:
            return 0.0
        if collective == "all_to_all":
            return sum(self.node_bytes(collective, size_bytes).values())
        return _SHARE[collective] * len(self.by_node) * size_bytes * (self.size - 1) / self.size

    def node_bytes(self, collective: str, size_bytes: float, *, in_network: bool = False) -> dict[str, float]:
        """Return what each node has to send to others, at the least on average over the nodes.

        *Equation.* With k of n ranks in a node: all-gather and reduce-scatter S·(1 - k/n), all-reduce twice
        that, or S where switches add; all-to-all k·S·(1 - k/n).
        """
        if self.inside:
            return {}
        if collective == "all_reduce" and in_network:
            return dict.fromkeys(self.by_node, size_bytes)
        return {
            node: size_bytes
            * (1.0 - count / self.size)
            * (count if collective == "all_to_all" else _SHARE[collective])
            for node, count in self.by_node.items()
        }


class Crossings:
    """The groups of a layout over the nodes of a cluster.

    Parameters
    ----------
    layout
        Whose groups.
    nodes
        Where its GPUs are.
    """

    def __init__(self, layout: Layout, nodes: NodeMap) -> None:
        self._layout = layout
        self._nodes = nodes
        self._groups: dict[tuple[str, int], list[GroupOverNodes]] = {}

    def groups(self, dimension: str, stage: int) -> list[GroupOverNodes]:
        """Return the groups of a dimension at a stage."""
        key = (dimension, stage)
        if key not in self._groups:
            node_of = self._nodes.node_of
            found = self._layout.groups(dimension, stage)
            self._groups[key] = [GroupOverNodes([node_of[gpu] for gpu in group]) for group in found]
        return self._groups[key]

    def sent_bytes(self, dimension: str, stage: int, collective: str, size_bytes: float) -> float:
        """Return the bytes that leave nodes when all groups of a stage run a collective once, as rings."""
        return sum(group.ring_bytes(collective, size_bytes) for group in self.groups(dimension, stage))

    def least_s(self, dimension: str, stage: int, collective: str, size_bytes: float) -> float:
        """Return a time below which all groups of a stage together cannot run a collective.

        *Equation.* Bytes that the nodes have to send, per node that takes part, over the rate at which the
        fastest node sends.
        """
        total: Counter[str] = Counter()
        for group in self.groups(dimension, stage):
            sent = group.node_bytes(collective, size_bytes, in_network=self._nodes.adds)
            total.update(sent)
        rate = self._nodes.egress_bytes_per_s
        return sum(total.values()) / len(total) / rate if total and rate else 0.0
