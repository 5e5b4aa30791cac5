"""Hierarchical collectives: inside each node first, then across nodes, then inside again.

**Source:** the two-level scheme of Jia et al., Highly Scalable Deep Learning Training System
(2018), as BlueConnect (Cho et al., SysML 2019) generalises it.
"""

from __future__ import annotations

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Connection, Lockstep, Phase, Pipelined, Plan
from clustersim.collectives.ring import ring_phase
from clustersim.collectives.tree import Edge, double_tree, tree_phase

__all__ = ["hierarchical_plans"]


def hierarchical_plans(group: Group, kind: str) -> tuple[Plan, ...]:
    """Plan a collective in phases one after another; () where the group has no two even levels.

    *Equation.* With n nodes of L ranks: reduce-scatter of S in each node, then for each local
    rank an all-reduce of S/L across nodes (ring, or double binary tree for little latency), then
    all-gather of S in each node: ``T = 2(L-1)·(S/(L r) + α) + 2(n-1)·(S/(L n R) + β)`` with rings
    on equal links r, α inside and R, β between nodes.

    **Valid when** phases do not overlap (each waits for the one before).
    """
    if len(group.nodes) < 2 or not group.is_even or len(group.nodes[0]) < 2:
        return ()
    inside = _inside_rings(group)
    local = len(group.nodes[0])
    if kind == "all_reduce":
        around = (_inside(inside, 1), _inside(inside, 1))
        across = (_across(group, 2, local), _across_trees(group, local))
        return tuple(Plan("hierarchical", "ring", (around[0], middle, around[1])) for middle in across)
    phases: tuple[Phase, ...] = (_inside(inside, 1), _across(group, 1, local))
    return (Plan("hierarchical", "ring", phases if kind == "reduce_scatter" else phases[::-1]),)


def _inside_rings(group: Group) -> tuple[tuple[Connection, ...], ...]:
    return tuple(
        tuple(group.connect(one, other) for one, other in zip(node, (*node[1:], node[0]), strict=True))
        for node in group.nodes
    )


def _inside(rings: tuple[tuple[Connection, ...], ...], passes: int) -> Lockstep:
    return ring_phase(rings, passes)


def _columns(group: Group) -> list[tuple[str, ...]]:
    """The k-th ranks of all nodes, for each k."""
    return list(zip(*group.nodes, strict=True))


def _across(group: Group, passes: int, local: int) -> Lockstep:
    rings = [
        tuple(
            group.connect(one, other, channel=index)
            for one, other in zip(column, (*column[1:], column[0]), strict=True)
        )
        for index, column in enumerate(_columns(group))
    ]
    phase = ring_phase(rings, passes)
    return Lockstep(phase.rings, phase.steps, phase.step_fraction / local)


def _across_trees(group: Group, local: int) -> Pipelined:
    edges: list[Edge] = []
    for index, column in enumerate(_columns(group)):
        edges += double_tree(group, column, channel=index, share=1.0 / local)
    return tree_phase(edges)
