"""Leaf-spine: two tiers, each leaf joined to each spine."""

from __future__ import annotations

import math

import networkx as nx

from clustersim.spec.topology import LeafSpineSpec
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic, connect_switches, planes

__all__ = ["build_leaf_spine"]


def build_leaf_spine(spec: LeafSpineSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return nodes under leaves `leafN`, all adapters of a node on the same one.

    *Equation.* With D = nodes per leaf · adapters per node, bandwidth B and
    oversubscription o there are s = ⌈D/o⌉ spines unless the spec says s; each leaf-spine
    link has D·B/(o·s), so a full leaf has exactly D·B below and D·B/o above it.
    Bisection of n full leaves = n/2 · D·B/o; diameter 4; s shortest paths between leaves.
    p planes are p such fabrics with B/p each.

    **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    nics = [node.add(graph, f"node{n}") for n in range(spec.nodes)]
    uplinks = spec.nodes_per_leaf * len(node.nics) / spec.oversubscription
    for prefix, plane in planes(via, spec.planes):
        spines = [f"{prefix}spine{n}" for n in range(spec.spines or math.ceil(uplinks))]
        leaves = [f"{prefix}leaf{n}" for n in range(math.ceil(spec.nodes / spec.nodes_per_leaf))]
        add_switches(graph, leaves, level=1)
        add_switches(graph, spines, level=2)
        for n, adapters in enumerate(nics):
            for nic in adapters:
                connect_nic(graph, nic, leaves[n // spec.nodes_per_leaf], via=plane)
        uplink = plane.share(uplinks / len(spines))
        for leaf in leaves:
            for spine in spines:
                connect_switches(graph, leaf, spine, via=uplink, tier="leaf-spine")
    return graph
