"""All-reduce in the switch (NVLink SHARP): the NVSwitch adds, the GPUs send and receive once.

**Source:** NVIDIA H100 architecture white paper (third-generation NVSwitch, multicast and
in-network reduction); NCCL 2.17 (2023), algorithms NVLS and NVLSTree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Connection, NotApplicableError, Payload, Phase, Plan, pipeline
from clustersim.collectives.tree import TreeFlow, double_tree, tree_flow

__all__ = ["nvls_plans"]

_FEWEST = 3
"""Ranks of a node from which NCCL takes NVLS: with two the switch adds nothing worth it."""


class _Ports(NamedTuple):
    """Connections of a node's GPUs to their switch and back."""

    up: tuple[Connection, ...]
    down: tuple[Connection, ...]


def nvls_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce with reduction in the switch.

    *Equation.* Every GPU sends S and S/L through its port to the switch (its data for the others
    to reduce, its reduced shard to all) and receives as much: ``T = 2α + S·(1 + 1/L)/r``.
    Across nodes the L shards of S/L go over double binary trees at the same time (NVLSTree):
    ``T = 2α + 2⌊log₂ n⌋·β + max(S·(1 + 1/L)/r, S/(L·x))``.

    Raises
    ------
    NotApplicableError
        Where a node's switch cannot add, or nodes have fewer than three or unequally many ranks.
    """
    if not group.is_even or len(group.nodes[0]) < _FEWEST:
        raise NotApplicableError(f"NVLS needs {_FEWEST} or more ranks in each node, in all the same number")
    ports = [_ports(group, node) for node in group.nodes]
    across = _across(group) if len(group.nodes) > 1 else TreeFlow([], [], [], [])
    name = "nvlstree" if len(group.nodes) > 1 else "nvls"
    return (Plan(name, "nvls", (_phase(group, ports, across),), 2 * len(group.nodes[0])),)


def _ports(group: Group, node: Sequence[str]) -> _Ports:
    around = (*node[1:], node[0])
    routes = [group.connect(one, other).links for one, other in zip(node, around, strict=True)]
    if any(len(route) != 2 for route in routes):
        raise NotApplicableError("NVLS needs GPUs that one switch joins")
    ends = group.topology.link_ends
    up = tuple(group.over(*ends[route[0]], route[:1]) for route in routes)
    down = tuple(group.over(*ends[route[1]], route[1:]) for route in routes)
    if not all("nvls" in connection.costs.families for connection in (*up, *down)):
        raise NotApplicableError(f"NVLS needs a switch that adds; that of {up[0].costs.name} does not")
    if len({connection.target for connection in up}) > 1:
        raise NotApplicableError("NVLS needs GPUs that one switch joins")
    return _Ports(up, down)


def _across(group: Group) -> TreeFlow:
    """Double binary trees over the k-th ranks of all nodes, for each k: shard k's two halves."""
    columns = enumerate(group.columns)
    return tree_flow(tree for index, column in columns for tree in double_tree(group, column, channel=index))


def _phase(group: Group, ports: Sequence[_Ports], across: TreeFlow) -> Phase:
    """All ports up, the trees, all ports down, in one pipeline.

    What goes up a tree, and what its root sends down, waits for the ports of its own node; these send
    down when the trees have delivered to all ranks of the node.
    """
    local = len(group.nodes[0])
    up = [connection for node in ports for connection in node.up]
    down = [connection for node in ports for connection in node.down]
    first, last = len(up), len(up) + len(across.connections)
    home = {gpu: node for node, gpus in enumerate(group.nodes) for gpu in gpus}
    ups = [tuple(range(node * local, (node + 1) * local)) for node in range(len(ports))]
    arrivals: list[list[int]] = [[] for _ in ports]
    feeds: list[tuple[int, ...]] = [()] * first
    for index, (connection, fed) in enumerate(zip(across.connections, across.feeds, strict=True)):
        adds_own = across.climbs[index] or any(across.climbs[other] for other in fed)
        own = ups[home[connection.source]] if adds_own else ()
        feeds.append((*own, *(other + first for other in fed)))
        arrivals[home[connection.target]].append(first + index)
    feeds += [
        tuple(delivered) or before
        for delivered, before in zip(arrivals, ups, strict=True)
        for _ in range(local)
    ]
    volumes = [1 + 1 / local] * first + [0.5 / local] * len(across.connections) + [1 + 1 / local] * len(down)
    switch = {gpu: ports[node].up[0].target for gpu, node in home.items()}

    def carries(index: int, _: int) -> Payload:
        if not first <= index < last:
            return Payload(range(2 * local), reduces=index < first)
        connection = across.connections[index - first]
        block = across.trees[index - first]
        climbs = across.climbs[index - first]
        return Payload((block,), climbs, switch[connection.source], switch[connection.target])

    return pipeline([*up, *across.connections, *down], volumes, feeds, carries, chunks=group.chunks)
