"""Star: every adapter on one switch that never blocks."""

from __future__ import annotations

import networkx as nx

from clustersim.spec.topology import StarSpec
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic

__all__ = ["build_star"]


def build_star(spec: StarSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return nodes whose adapters all hang on `switch0`.

    *Equation.* Bisection = nodes/2 · adapters · bandwidth; diameter 2.

    **Valid when** the switch has a port per adapter and full bisection inside.
    **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    add_switches(graph, ["switch0"], level=1)
    for n in range(spec.nodes):
        for nic in node.add(graph, f"node{n}"):
            connect_nic(graph, nic, "switch0", via=via)
    return graph
