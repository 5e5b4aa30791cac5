"""Double binary trees across nodes with a chain inside each node: collectives with few steps.

Data is reduced up to the root and broadcast down again, chunk after chunk. Two trees carry half
of the bytes each; a node that is inside one tree is a leaf of the other, so every node sends and
receives about S each way.

**Source:** Sanders, Speck and Träff, Two-tree algorithms for full bandwidth broadcast, reduction
and scan, Parallel Computing 35 (2009); NCCL 2.4 (2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Connection, NotApplicableError, Payload, Plan, pipeline

__all__ = ["Edge", "TreeFlow", "binary_tree", "double_tree", "rooted_tree_plans", "tree_flow", "tree_plans"]


class Edge(NamedTuple):
    """Child and parent in a tree, with the connections up (reduce) and down (broadcast)."""

    child: str
    parent: str
    up: Connection
    down: Connection


class TreeFlow(NamedTuple):
    """Connections of trees in the order of the data, with what feeds each.

    Parameters
    ----------
    trees
        For each connection the number of its tree.
    climbs
        For each connection whether it reduces upwards.
    """

    connections: list[Connection]
    feeds: list[tuple[int, ...]]
    trees: list[int]
    climbs: list[bool]


def tree_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce on double binary trees.

    *Equation.* ``T = 2·((L-1)·α + ⌊log₂ n⌋·β) + S / x`` with n nodes of L ranks; x is the pace of
    the busiest link. One pair of trees per rail, in each node a chain that ends at the rail's GPU.

    Raises
    ------
    NotApplicableError
        On a single node: NCCL has trees between nodes only.
    """
    if len(group.nodes) < 2:
        raise NotApplicableError("double binary trees join nodes, and all ranks are in one")
    channels = range(len(group.leaders[0]))
    trees = [tree for channel in channels for tree in _channel_trees(group, channel)]
    return (_plan(group, tree_flow(trees), trees=len(trees)),)


def rooted_tree_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a broadcast or reduction on double binary trees.

    Both trees join all nodes but the root's, and hang on it; inside nodes go chains. On a single
    node the trees join all ranks but the root.

    *Equation.* ``T = 2·(L-1)·α + (⌊log₂(n-1)⌋ + 1)·β + S / x``: each tree carries half of the bytes.
    """
    root = group.gpus[kind.root]
    if len(group.nodes) == 1:
        trees = _hung(group, [gpu for gpu in group.gpus if gpu != root], below=root, channel=0)
    else:
        channels = range(len(group.leaders[0]))
        trees = [tree for channel in channels for tree in _rooted_trees(group, root, channel)]
    reduces = kind.name == "reduce"
    return (_plan(group, tree_flow(trees, up=reduces, down=not reduces), trees=len(trees)),)


def _rooted_trees(group: Group, root: str, channel: int) -> list[list[Edge]]:
    """Both trees of a channel over the nodes without the root, and the chains inside all nodes."""
    home = next(index for index, node in enumerate(group.nodes) if root in node)
    away = [node for node in range(len(group.nodes)) if node != home]
    leaders = [group.leaders[node][channel] for node in away]
    order = group.order(home, channel)
    start = order.index(root)
    edges = _chain(group, (*order[start:], *order[:start]))
    for node in away:
        edges += _chain(group, group.order(node, channel))
    trees = _hung(group, leaders, below=group.leaders[home][channel], channel=channel)
    return [tree + edges for tree in trees]


def _hung(group: Group, vertices: Sequence[str], *, below: str, channel: int) -> list[list[Edge]]:
    """Both trees of a channel over `vertices`, each with its root joined to `below`."""
    trees = double_tree(group, vertices, channel=channel)
    for number, tree in enumerate(trees):
        top = ((1 << (len(vertices).bit_length() - 1)) - 1 + number) % len(vertices)
        tree.append(_edge(group, vertices[top], below, channel))
    return trees


def _chain(group: Group, order: Sequence[str]) -> list[Edge]:
    """Edges that lead all ranks of a node to the first of them."""
    return [_edge(group, child, parent, 0) for parent, child in pairwise(order)]


def _plan(group: Group, flow: TreeFlow, *, trees: int) -> Plan:
    phase = pipeline(
        flow.connections,
        [1 / trees] * len(flow.connections),
        flow.feeds,
        lambda index, _: Payload((flow.trees[index],), flow.climbs[index]),
        chunks=group.chunks,
    )
    return Plan("tree", "tree", (phase,), trees)


def _channel_trees(group: Group, channel: int) -> list[list[Edge]]:
    """Both trees of a channel over the nodes' leaders, with the chains that lead all ranks to these."""
    edges: list[Edge] = []
    for node in range(len(group.nodes)):
        leader, *others = group.order(node, channel)
        edges += _chain(group, (leader, *reversed(others)))
    leaders = [leaders[channel] for leaders in group.leaders]
    return [tree + edges for tree in double_tree(group, leaders, channel=channel)]


def double_tree(group: Group, vertices: Sequence[str], *, channel: int) -> list[list[Edge]]:
    """Return the edges of two trees over `vertices`; what is inside the one is a leaf of the other."""
    return [
        [
            _edge(group, vertices[child], vertices[parent], channel)
            for child, parent in binary_tree(len(vertices), shift=shift)
        ]
        for shift in range(2)
    ]


def _edge(group: Group, child: str, parent: str, channel: int) -> Edge:
    up = group.connect(child, parent, channel=channel)
    return Edge(child, parent, up, group.connect(parent, child, channel=channel))


def binary_tree(count: int, *, shift: int) -> list[tuple[int, int]]:
    """Return (child, parent) pairs of the in-order binary tree over `count` vertices.

    Counted from 1 the odd vertices are leaves, and the root is the largest power of two. Shifting
    all vertices by one makes an inner vertex of each leaf but one.
    """
    pairs: list[tuple[int, int]] = []

    def build(first: int, size: int) -> int:
        below = (1 << (size.bit_length() - 1)) - 1
        root = first + below
        for start, length in ((first, below), (root + 1, size - below - 1)):
            if length:
                pairs.append((build(start, length), root))
        return root

    build(0, count)
    return [((child + shift) % count, (parent + shift) % count) for child, parent in pairs]


def tree_flow(trees: Iterable[Sequence[Edge]], *, up: bool = True, down: bool = True) -> TreeFlow:
    """Return how chunks go up all trees, or down, or up and down again.

    A chunk goes up an edge when the child has it from all its own children; it turns round at the
    root when all children of the root have delivered.
    """
    flow = TreeFlow([], [], [], [])
    for number, tree in enumerate(trees):
        _append_tree(flow, number, tree, up=up, down=down)
    return flow


def _append_tree(flow: TreeFlow, number: int, tree: Sequence[Edge], *, up: bool, down: bool) -> None:
    below: dict[str, list[Edge]] = {}
    for edge in tree:
        below.setdefault(edge.parent, []).append(edge)
    (root,) = below.keys() - {edge.child for edge in tree}
    order = _from_root(root, below)
    arrivals: dict[str, tuple[int, ...]] = {}
    first = len(flow.connections)
    if up:
        for index, edge in enumerate(reversed(order), first):
            flow.feeds.append(arrivals.get(edge.child, ()))
            arrivals[edge.parent] = (*arrivals.get(edge.parent, ()), index)
        flow.connections.extend(edge.up for edge in reversed(order))
        flow.climbs.extend([True] * len(order))
    if down:
        sources = {root: arrivals.get(root, ())}
        for index, edge in enumerate(order, len(flow.connections)):
            flow.feeds.append(sources[edge.parent])
            sources[edge.child] = (index,)
        flow.connections.extend(edge.down for edge in order)
        flow.climbs.extend([False] * len(order))
    flow.trees.extend([number] * (len(flow.connections) - first))


def _from_root(root: str, below: dict[str, list[Edge]]) -> list[Edge]:
    """Edges by level, those at the root first."""
    order: list[Edge] = []
    level = [root]
    while level:
        edges = [edge for parent in level for edge in below.get(parent, ())]
        order += edges
        level = [edge.child for edge in edges]
    return order
