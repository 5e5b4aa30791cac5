"""Full mesh: every switch, or every node, joined to every other."""

from __future__ import annotations

import itertools
import math

import networkx as nx

from clustersim.errors import InputError, Problem
from clustersim.spec.topology import FullMeshSpec
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect, connect_nic, connect_switches

__all__ = ["build_full_mesh"]


def build_full_mesh(spec: FullMeshSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return switches that are all joined, or nodes that are cabled back to back.

    *Equation.* s switches have s·(s−1)/2 links of bandwidth B: diameter 3, bisection s²/4 · B for
    an even number of full switches. n nodes without switches have a·n·(n−1)/2 cables of B/(n−1):
    diameter 1, bisection n²/4 · a·B/(n−1). There NIC i reaches NIC i only; other GPUs are
    reached through the scale-up links of a node.

    Raises
    ------
    InputError
        If there is a single node without a switch.

    **Checked by:** tests/topology/test_closed_forms.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    nics = [node.add(graph, f"node{n}") for n in range(spec.nodes)]
    if spec.nodes_per_switch is None:
        if spec.nodes < 2:
            raise InputError(Problem(("topology", "nodes"), "one node has nothing to be cabled to"))
        _add_cables(graph, nics, via=via.share(1 / (spec.nodes - 1)))
        return graph
    switches = [f"switch{n}" for n in range(math.ceil(spec.nodes / spec.nodes_per_switch))]
    add_switches(graph, switches, level=1)
    for n, adapters in enumerate(nics):
        for nic in adapters:
            connect_nic(graph, nic, switches[n // spec.nodes_per_switch], via=via)
    for one, other in itertools.combinations(switches, 2):
        connect_switches(graph, one, other, via=via, tier="mesh")
    return graph


def _add_cables(graph: nx.MultiDiGraph[str], nics: list[tuple[str, ...]], *, via: ScaleOut) -> None:
    latency_s = via.latency_s + 2 * via.endpoint_latency_s
    for one, other in itertools.combinations(nics, 2):
        for ends in zip(one, other, strict=True):
            connect(
                graph,
                *ends,
                bandwidth_bytes_per_s=via.bandwidth_bytes_per_s,
                latency_s=latency_s,
                kind=via.kind,
                tier="mesh",
                message_overhead_s=via.message_overhead_s,
            )
