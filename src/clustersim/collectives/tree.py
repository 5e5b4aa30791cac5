"""Double binary trees across nodes with a chain inside each node: all-reduce with few steps.

Data is reduced up to the root and broadcast down again, chunk after chunk. Two trees carry half
of the bytes each; a node that is inside one tree is a leaf of the other, so every node sends and
receives about S each way.

**Source:** Sanders, Speck and Träff, Two-tree algorithms for full bandwidth broadcast, reduction
and scan, Parallel Computing 35 (2009); NCCL 2.4 (2019).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Connection, Pipelined, Plan

__all__ = ["Edge", "binary_tree", "double_tree", "tree_phase", "tree_plans"]


@dataclass(frozen=True, slots=True)
class Edge:
    """Child and parent in one tree, with the connections up (reduce) and down (broadcast)."""

    tree: Hashable
    child: str
    parent: str
    up: Connection
    down: Connection


def tree_plans(group: Group, kind: str) -> tuple[Plan, ...]:
    """Plan an all-reduce on double binary trees; () for other collectives and single nodes.

    *Equation.* ``T = 2·((L-1)·α + ⌊log₂ n⌋·β) + S / x`` with n nodes of L ranks; x is the pace of
    the busiest link. One pair of trees per rail, in each node a chain that ends at the rail's GPU.
    """
    if kind != "all_reduce" or len(group.nodes) < 2:
        return ()
    channels = len(group.leaders[0])
    edges: list[Edge] = []
    for channel in range(channels):
        leaders = [leaders[channel] for leaders in group.leaders]
        edges += double_tree(group, leaders, channel=channel, share=1.0 / channels)
        for node in range(len(group.nodes)):
            edges += _chains(group, node, channel, 1.0 / channels)
    return (Plan("tree", "tree", (tree_phase(edges),)),)


def double_tree(group: Group, vertices: Sequence[str], *, channel: int, share: float) -> list[Edge]:
    """Return the edges of both trees over `vertices`; each tree carries half of `share`."""
    return [
        _edge(group, (channel, tree), vertices[child], vertices[parent], channel, share / 2)
        for tree in range(2)
        for child, parent in binary_tree(len(vertices), shift=tree)
    ]


def _chains(group: Group, node: int, channel: int, share: float) -> list[Edge]:
    """Edges that lead all ranks of a node to its leader, for both trees."""
    leader, *others = group.order(node, channel)
    order = (*others, leader)
    return [
        _edge(group, (channel, tree), child, parent, channel, share / 2)
        for tree in range(2)
        for child, parent in pairwise(order)
    ]


def _edge(group: Group, tree: Hashable, child: str, parent: str, channel: int, share: float) -> Edge:
    up = group.connect(child, parent, channel=channel, share=share)
    down = group.connect(parent, child, channel=channel, share=share)
    return Edge(tree, child, parent, up, down)


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


def tree_phase(edges: Iterable[Edge]) -> Pipelined:
    """Return the phase that reduces up all trees and broadcasts down them.

    A chunk goes up an edge when the child has it from all its own children; it turns round at the
    root when all children of the root have delivered.
    """
    by_tree: dict[Hashable, list[Edge]] = {}
    for edge in edges:
        by_tree.setdefault(edge.tree, []).append(edge)
    connections: list[Connection] = []
    feeds: list[tuple[int, ...]] = []
    for tree in by_tree.values():
        _append_tree(tree, connections, feeds)
    return Pipelined(tuple(connections), 1.0, tuple(feeds))


def _append_tree(tree: list[Edge], connections: list[Connection], feeds: list[tuple[int, ...]]) -> None:
    below: dict[str, list[Edge]] = {}
    for edge in tree:
        below.setdefault(edge.parent, []).append(edge)
    (root,) = below.keys() - {edge.child for edge in tree}
    order = _from_root(root, below)
    arrivals: dict[str, list[int]] = {}
    for edge in reversed(order):
        feeds.append(tuple(arrivals.get(edge.child, ())))
        arrivals.setdefault(edge.parent, []).append(len(connections))
        connections.append(edge.up)
    sources = {root: tuple(arrivals[root])}
    for edge in order:
        feeds.append(sources[edge.parent])
        sources[edge.child] = (len(connections),)
        connections.append(edge.down)


def _from_root(root: str, below: dict[str, list[Edge]]) -> list[Edge]:
    """Edges by level, those at the root first."""
    order: list[Edge] = []
    level = [root]
    while level:
        edges = [edge for parent in level for edge in below.get(parent, ())]
        order += edges
        level = [edge.child for edge in edges]
    return order
