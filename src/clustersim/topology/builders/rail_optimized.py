"""Rail-optimised: adapter i of every node of a group on the same leaf."""

from __future__ import annotations

import math

import networkx as nx

from clustersim.spec.topology import RailOptimizedSpec
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic, connect_switches, planes

__all__ = ["build_rail_optimized"]


def build_rail_optimized(
    spec: RailOptimizedSpec, *, node: NodeTemplate, via: ScaleOut
) -> nx.MultiDiGraph[str]:
    """Return groups of nodes; adapter i of a node of group g hangs on `railg.i`.

    *Equation.* With g nodes in a (full) group, bandwidth B and oversubscription o there are
    s = ⌈g/o⌉ spines, and a link of g·B/(o·s) from each rail switch to each. Messages of
    one rail inside a group pass one switch; across rails or groups, a spine: diameter 4,
    s shortest paths. p planes are p such fabrics with B/p each.

    **Source:** the pattern of NVIDIA's DGX SuperPOD reference architecture.
    **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    nics = [node.add(graph, f"node{n}") for n in range(spec.nodes)]
    uplinks = min(spec.nodes_per_group, spec.nodes) / spec.oversubscription
    groups = range(math.ceil(spec.nodes / spec.nodes_per_group))
    for prefix, plane in planes(via, spec.planes):
        spines = [f"{prefix}spine{n}" for n in range(math.ceil(uplinks))]
        rails = [f"{prefix}rail{group}.{rail}" for group in groups for rail in range(len(node.nics))]
        add_switches(graph, rails, level=1)
        add_switches(graph, spines, level=2)
        for n, adapters in enumerate(nics):
            for rail, nic in enumerate(adapters):
                connect_nic(graph, nic, f"{prefix}rail{n // spec.nodes_per_group}.{rail}", via=plane)
        uplink = plane.share(uplinks / len(spines))
        for switch in rails:
            for spine in spines:
                connect_switches(graph, switch, spine, via=uplink, tier="rail-spine")
    return graph
