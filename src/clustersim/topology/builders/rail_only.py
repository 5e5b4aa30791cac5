"""Rail-only: one switch per rail and nothing between the rails."""

from __future__ import annotations

import networkx as nx

from clustersim.spec.topology import RailOnlySpec
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic

__all__ = ["build_rail_only"]


def build_rail_only(spec: RailOnlySpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return nodes whose adapter i hangs on `raili`; the rails meet only inside the nodes.

    *Equation.* Bisection = nodes/2 · adapters · bandwidth; diameter 2 within a rail. A GPU
    reaches another rail over the scale-up links of its own node.

    **Valid when** a switch has a port per node; a rail of several switches is taken as one
    that never blocks.
    **Source:** Wang, Ghobadi, Shakeri, Zhang, Hasani: Rail-only: a low-cost high-performance
    network for training LLMs with trillion parameters, arXiv 2307.12169, 2023.
    **Checked by:** tests/topology/test_closed_forms.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    add_switches(graph, (f"rail{rail}" for rail in range(len(node.nics))), level=1)
    for n in range(spec.nodes):
        for rail, nic in enumerate(node.add(graph, f"node{n}")):
            connect_nic(graph, nic, f"rail{rail}", via=via)
    return graph
