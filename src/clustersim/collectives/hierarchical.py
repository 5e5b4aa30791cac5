"""Hierarchical collectives: inside each node first, then across nodes, then inside again.

**Source:** the two-level scheme of Jia et al., Highly Scalable Deep Learning Training System
(2018), and BlueConnect (Cho et al., SysML 2019), which generalises it to more levels.
"""

from __future__ import annotations

import numpy as np

from clustersim.collectives.grid import Grid, Part, axis_phases
from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import NotApplicableError, Payload, Phase, Plan, pipeline
from clustersim.collectives.tree import double_tree, tree_flow

__all__ = ["hierarchical_plans", "three_level_plans"]


def hierarchical_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a collective in phases one after another, inside nodes and across them.

    *Equation.* With n nodes of L ranks: reduce-scatter of S in each node, then for each local
    rank an all-reduce of S/L across nodes (ring, or double binary tree for little latency), then
    all-gather of S in each node: ``T = 2(L-1)·(S/(L r) + α) + 2(n-1)·(S/(L n R) + β)`` with rings
    on equal links r, α inside and R, β between nodes. A level of one is left out.

    **Valid when** phases do not overlap (each waits for the one before).

    Raises
    ------
    NotApplicableError
        Where nodes have unequally many ranks.
    """
    grid = _grid(group, _by_node(group))
    phases = axis_phases(grid, kind, [Part(tuple(range(grid.ranks.ndim)))])
    rings = Plan("hierarchical", "ring", phases, len(group))
    if kind.name != "all_reduce" or grid.ranks.ndim == 1:
        return (rings,)
    parts = [Part((0, 1)), Part((0, 1))]
    inside = [grid.phase(parts, 0, reduces=first, gathers=not first) for first in (True, False)]
    phases = (inside[0], _across_trees(group), inside[1])
    return (rings, Plan("hierarchical", "ring", phases, 2 * len(group)))


def three_level_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a collective inside nodes, inside pods (nodes on one leaf switch) and across pods.

    *Equation.* With p pods of m nodes of L ranks, as rings on equal links r, R, Q at the three
    levels: ``T = 2(L-1)·(S/(L r) + α) + 2(m-1)·(S/(L m R) + β) + 2(p-1)·(S/(L m p Q) + γ)``. A level
    of one is left out.

    **Valid when** phases do not overlap; pods are what `Topology.attachment` says.

    Raises
    ------
    NotApplicableError
        Where pods have unequally many nodes, or nodes unequally many ranks.
    """
    nodes = _by_node(group)
    pods: dict[str, list[int]] = {}
    for index, node in enumerate(group.nodes):
        leaf = group.topology.attachment(group.topology.node_of(node[0]))
        pods.setdefault(leaf, []).append(index)
    if len({len(pod) for pod in pods.values()}) > 1:
        found = ", ".join(f"{len(pod)} on {leaf}" for leaf, pod in list(pods.items())[:4])
        raise NotApplicableError(
            f"three levels need equally many nodes on each leaf switch; there are {found}"
        )
    grid = _grid(group, nodes[:, np.array(list(pods.values()))].transpose(0, 2, 1))
    phases = axis_phases(grid, kind, [Part(tuple(range(grid.ranks.ndim)))])
    return (Plan("hierarchical-3-level", "ring", phases, len(group)),)


def _by_node(group: Group) -> np.ndarray:
    """Ranks by place in their node, and node."""
    if not group.is_even:
        counts = ", ".join(map(str, sorted({len(node) for node in group.nodes})))
        raise NotApplicableError(f"a hierarchy needs equally many ranks in each node; there are {counts}")
    return np.array([[group.rank[gpu] for gpu in node] for node in group.nodes]).T


def _grid(group: Group, ranks: np.ndarray) -> Grid:
    """The levels that are more than one; local rank k goes by channel k where there are several."""
    lengths = [length for length in ranks.shape if length > 1]
    return Grid(group, ranks.reshape(lengths or [1]), rails=ranks.shape[0] > 1)


def _across_trees(group: Group) -> Phase:
    """All-reduce of each local rank's shard over double binary trees across nodes."""
    local = len(group.columns)
    columns = enumerate(group.columns)
    flow = tree_flow(tree for index, column in columns for tree in double_tree(group, column, channel=index))

    def carries(index: int, _: int) -> Payload:
        column, half = divmod(flow.trees[index], 2)
        blocks = [2 * group.rank[gpu] + half for gpu in group.columns[column]]
        return Payload(blocks, flow.climbs[index])

    volumes = [0.5 / local] * len(flow.connections)
    return pipeline(flow.connections, volumes, flow.feeds, carries, chunks=group.chunks)
