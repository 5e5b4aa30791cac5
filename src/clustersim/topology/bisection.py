"""Bisection: what one half of a cluster can send to the other."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from clustersim.topology.levels import Levels
from clustersim.topology.network import Topology

__all__ = ["Bisection", "bisection"]

Bisection = tuple[float, float]
"""Most bytes per second between two halves, and what the ports of the first could send."""


def bisection(topology: Topology, levels: Levels) -> Bisection | None:
    """Return the least bisection over the halvings that are tried; None with a single node.

    The nodes are halved in rank order and, where they stand in a grid, along each even
    dimension. *Equation.* Maximum flow from one half to the other over switches merged by
    tier and by the halves below them: exact for the standard topologies, never too low for others.

    **Checked by:** tests/topology/test_closed_forms.py.
    """
    if len(topology.gpus_by_node) < 2:
        return None
    return min(_flow(topology, levels, first) for first in _halvings(topology))


def _halvings(topology: Topology) -> Iterator[set[int]]:
    """Yield the vertices of the first half: of the nodes in rank order, then along each dimension."""
    nodes = list(topology.gpus_by_node)
    first_nodes = set(nodes[: len(nodes) // 2])
    wires = topology.wires
    yield {vertex for vertex, node in enumerate(wires.node) if node in first_nodes}
    sizes = topology.dimensions or ()
    if any(wires.in_fabric[vertex] and wires.node[vertex] is None for vertex in range(len(wires.node))):
        shape = [
            len(fields["coordinates"]) for _, fields in topology.graph.nodes(data=True) if _is_place(fields)
        ]
        sizes = sizes[: max(shape, default=0)]
    for dimension, size in enumerate(sizes):
        if size % 2 == 0:
            yield set(_below(topology, dimension, size // 2))


def _is_place(fields: dict[str, object]) -> bool:
    return fields.get("kind") == "switch" and fields.get("coordinates") is not None


def _below(topology: Topology, dimension: int, middle: int) -> Iterator[int]:
    """Yield what is in the lower half along one dimension: the nodes there, or parts of them."""
    lower: dict[str, bool] = {}
    for node, gpus in topology.gpus_by_node.items():
        at = topology.coordinates(gpus[0])
        lower[node] = at is not None and at[dimension] < middle
    for vertex, home in enumerate(topology.wires.node):
        if topology.wires.kind[vertex] == "gpu":
            at = topology.coordinates(topology.wires.names[vertex])
            if at is not None and at[dimension] < middle:
                yield vertex
        elif home is not None and lower.get(home, False):
            yield vertex


def _flow(topology: Topology, levels: Levels, first: set[int]) -> Bisection:
    wires = topology.wires
    group = _groups(topology, levels, first)
    flow: nx.DiGraph[object] = nx.DiGraph()
    flow.add_nodes_from(("first", "second"))
    injection = 0.0
    for link, rate in enumerate(topology.link_bandwidth_bytes_per_s.tolist()):
        ends = wires.ends[link]
        source, target = group[ends[0]], group[ends[1]]
        if source == "first" and (wires.node[ends[0]] != wires.node[ends[1]] or wires.in_fabric[ends[0]]):
            injection += rate
        if source != target:
            known = flow.get_edge_data(source, target, default={"capacity": 0.0})["capacity"]
            flow.add_edge(source, target, capacity=known + rate)
    return float(nx.maximum_flow_value(flow, "first", "second")), injection


def _groups(topology: Topology, levels: Levels, first: set[int]) -> list[object]:
    """Return each vertex's group: its half for what is in nodes, (tier, halves below) for switches."""
    wires = topology.wires
    halves: list[frozenset[str]] = [
        frozenset() if node is None else frozenset({"first" if vertex in first else "second"})
        for vertex, node in enumerate(wires.node)
    ]
    for level in range(1, levels.top + 1):
        for switch in levels.members(level):
            below = [halves[other] for other, _ in wires.into[switch] if (levels.of[other] or 0) < level]
            halves[switch] = frozenset().union(*below)
    return [
        next(iter(halves[vertex])) if node is not None else (levels.of[vertex], halves[vertex])
        for vertex, node in enumerate(wires.node)
    ]
