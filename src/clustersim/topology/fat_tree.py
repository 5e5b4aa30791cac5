"""k-ary fat-tree: three tiers of equal switches."""

from __future__ import annotations

import itertools

import networkx as nx

from clustersim.catalog.nodes import NodeType
from clustersim.errors import InputError, Problem
from clustersim.spec.cluster import FatTreeSpec
from clustersim.topology.node import add_node
from clustersim.topology.wiring import ScaleOut, add_switches, connect_nic, connect_switches

__all__ = ["build_fat_tree"]


def build_fat_tree(spec: FatTreeSpec, *, node_type: NodeType, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return a fat-tree of k pods whose edge ports are filled adapter by adapter.

    *Equation.* k pods of k/2 edge and k/2 aggregation switches and (k/2)² cores: 5k²/4
    switches, k³/4 ports; (k/2)² shortest paths between pods; diameter 6. Edge uplinks
    have bandwidth B/oversubscription.

    Raises
    ------
    InputError
        If the k given has too few ports.

    **Source:** Al-Fares, Loukissas, Vahdat: A scalable, commodity data center network
    architecture, SIGCOMM 2008. **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    k = _ports_per_switch(spec, adapters=spec.nodes * node_type.nics)
    nics = [nic for n in range(spec.nodes) for nic in add_node(graph, f"node{n}", node_type=node_type)]
    _add_tree(graph, k, via=via, edge_share=1 / spec.oversubscription)
    half = k // 2
    for n, nic in enumerate(nics):
        edge = n // half
        connect_nic(graph, nic, f"edge{edge // half}.{edge % half}", via=via)
    return graph


def _ports_per_switch(spec: FatTreeSpec, *, adapters: int) -> int:
    smallest = next(k for k in itertools.count(2, 2) if k**3 // 4 >= adapters)
    if spec.k is not None and spec.k < smallest:
        raise InputError(
            Problem(
                ("topology", "k"),
                f"k = {spec.k} has {spec.k**3 // 4} ports, {spec.nodes} nodes have {adapters} adapters; "
                f"expected k of {smallest} or more",
            )
        )
    return spec.k or smallest


def _add_tree(graph: nx.MultiDiGraph[str], k: int, *, via: ScaleOut, edge_share: float) -> None:
    half = k // 2
    pods = range(k)
    add_switches(graph, [f"edge{pod}.{n}" for pod in pods for n in range(half)], level=1)
    add_switches(graph, [f"agg{pod}.{n}" for pod in pods for n in range(half)], level=2)
    add_switches(graph, [f"core{n}" for n in range(half * half)], level=3)
    for pod, aggregation in itertools.product(pods, range(half)):
        name = f"agg{pod}.{aggregation}"
        for n in range(half):
            connect_switches(graph, f"edge{pod}.{n}", name, via=via, share=edge_share, tier="edge-agg")
            core = f"core{aggregation * half + n}"
            connect_switches(graph, name, core, via=via, share=1.0, tier="agg-core")
