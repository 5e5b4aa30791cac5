"""All-reduce in the switch (NVLink SHARP): the NVSwitch adds, the GPUs send and receive once.

**Source:** NVIDIA H100 architecture white paper (third-generation NVSwitch, multicast and
in-network reduction); NCCL 2.17 (2023), algorithms NVLS and NVLSTree.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.collectives.group import Group
from clustersim.collectives.plan import Connection, Pipelined, Plan
from clustersim.collectives.tree import double_tree, tree_phase

__all__ = ["nvls_plans"]


def nvls_plans(group: Group, kind: str) -> tuple[Plan, ...]:
    """Plan an all-reduce with reduction in the switch; () where a node's switch cannot add.

    *Equation.* Every GPU sends S and S/L through its port to the switch (its data for the others
    to reduce, its reduced shard to all) and receives as much: ``T = 2α + S·(1 + 1/L)/r``.
    Across nodes the L shards of S/L go over double binary trees at the same time (NVLSTree):
    ``T = 2α + 2⌊log₂ n⌋·β + max(S·(1 + 1/L)/r, S/(L·x))``.
    """
    if kind != "all_reduce" or not group.is_even or len(group.nodes[0]) < 3:
        return ()
    ports = [_ports(group, node) for node in group.nodes]
    if not all(ports):
        return ()
    up = tuple(connection for node in ports for connection in node[0])
    down = tuple(connection for node in ports for connection in node[1])
    return (Plan("nvls", "nvls", (_phase(group, up, down),)),)


def _ports(group: Group, node: Sequence[str]) -> list[tuple[Connection, ...]]:
    """Connections of a node's GPUs to their switch and back; [] if it has none that adds."""
    around = (*node[1:], node[0])
    routes = [group.topology.route(one, other) for one, other in zip(node, around, strict=True)]
    if any(len(route) != 2 for route in routes):
        return []
    share = 1.0 + 1.0 / len(node)
    ends = group.topology.link_ends
    up = tuple(group.over(*ends[route[0]], route[:1], share=share) for route in routes)
    down = tuple(group.over(*ends[route[1]], route[1:], share=share) for route in routes)
    adds = all("nvls" in connection.costs.families for connection in (*up, *down))
    switches = {connection.target for connection in up}
    return [up, down] if adds and len(switches) == 1 else []


def _phase(group: Group, up: tuple[Connection, ...], down: tuple[Connection, ...]) -> Pipelined:
    across = _across(group) if len(group.nodes) > 1 else Pipelined((), 1.0, ())
    first = len(up)
    everything_up = tuple(range(first))
    feeds: list[tuple[int, ...]] = [()] * first
    feeds += [tuple(index + first for index in fed) or everything_up for fed in across.feeds]
    last = tuple(range(first, first + len(across.connections))) or everything_up
    feeds += [last] * len(down)
    return Pipelined((*up, *across.connections, *down), 1.0, tuple(feeds))


def _across(group: Group) -> Pipelined:
    columns = list(zip(*group.nodes, strict=True))
    edges = []
    for index, column in enumerate(columns):
        edges += double_tree(group, column, channel=index, share=1.0 / len(columns))
    return tree_phase(edges)
