"""Rail-optimised: adapter i of every node of a group on the same leaf."""

from __future__ import annotations

import math

import networkx as nx

from clustersim.catalog.nodes import NodeType
from clustersim.spec.cluster import RailOptimizedSpec
from clustersim.topology.node import add_node
from clustersim.topology.wiring import ScaleOut, add_switches, connect_nic, connect_switches

__all__ = ["build_rail_optimized"]


def build_rail_optimized(
    spec: RailOptimizedSpec, *, node_type: NodeType, via: ScaleOut
) -> nx.MultiDiGraph[str]:
    """Return groups of nodes; adapter i of a node of group g hangs on `railg.i`.

    *Equation.* With g nodes in a (full) group, bandwidth B and oversubscription o there are
    s = ⌈g/o⌉ spines, and a link of g·B/(o·s) from each rail switch to each. Messages of
    one rail inside a group pass one switch; across rails or groups, a spine: diameter 4.

    **Source:** the pattern of NVIDIA's DGX SuperPOD reference architecture.
    **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    group_nodes = min(spec.nodes_per_group, spec.nodes)
    uplinks = group_nodes / spec.oversubscription
    spines = [f"spine{n}" for n in range(math.ceil(uplinks))]
    groups = range(math.ceil(spec.nodes / spec.nodes_per_group))
    rails = [f"rail{group}.{rail}" for group in groups for rail in range(node_type.nics)]
    for n in range(spec.nodes):
        for rail, nic in enumerate(add_node(graph, f"node{n}", node_type=node_type)):
            connect_nic(graph, nic, f"rail{n // spec.nodes_per_group}.{rail}", via=via)
    add_switches(graph, rails, level=1)
    add_switches(graph, spines, level=2)
    for switch in rails:
        for spine in spines:
            connect_switches(graph, switch, spine, via=via, share=uplinks / len(spines), tier="rail-spine")
    return graph
