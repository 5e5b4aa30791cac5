"""Leaf-spine: two tiers, each leaf joined to each spine."""

from __future__ import annotations

import math

import networkx as nx

from clustersim.catalog.nodes import NodeType
from clustersim.spec.cluster import LeafSpineSpec
from clustersim.topology.node import add_node
from clustersim.topology.wiring import ScaleOut, add_switches, connect_nic, connect_switches

__all__ = ["build_leaf_spine"]


def build_leaf_spine(spec: LeafSpineSpec, *, node_type: NodeType, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return nodes under leaves `leafN`, all adapters of a node on the same one.

    *Equation.* With D = nodes per leaf · adapters per node, bandwidth B and
    oversubscription o there are s = ⌈D/o⌉ spines unless the spec says s; each leaf-spine
    link has D·B/(o·s), so a full leaf has exactly D·B below and D·B/o above it.
    Bisection of n full leaves = n/2 · D·B/o; diameter 4.

    **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    uplinks = spec.nodes_per_leaf * node_type.nics / spec.oversubscription
    spines = [f"spine{n}" for n in range(spec.spines or math.ceil(uplinks))]
    leaves = [f"leaf{n}" for n in range(math.ceil(spec.nodes / spec.nodes_per_leaf))]
    for n in range(spec.nodes):
        for nic in add_node(graph, f"node{n}", node_type=node_type):
            connect_nic(graph, nic, leaves[n // spec.nodes_per_leaf], via=via)
    add_switches(graph, leaves, level=1)
    add_switches(graph, spines, level=2)
    for leaf in leaves:
        for spine in spines:
            connect_switches(graph, leaf, spine, via=via, share=uplinks / len(spines), tier="leaf-spine")
    return graph
