"""k-ary fat-tree: three tiers of equal switches."""

from __future__ import annotations

import itertools

import networkx as nx

from clustersim.errors import InputError, Problem
from clustersim.spec.topology import FatTreeOversubscriptionSpec, FatTreeSpec
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic, connect_switches, planes

__all__ = ["build_fat_tree"]


def build_fat_tree(spec: FatTreeSpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return a fat-tree of k pods whose edge ports are filled adapter by adapter.

    *Equation.* k pods of k/2 edge and k/2 aggregation switches and (k/2)² cores: 5k²/4
    switches, k³/4 ports; (k/2)² shortest paths between pods; diameter 6. With
    oversubscription e at the edge and a at the aggregation, edge uplinks have bandwidth B/e
    and core links B/(e·a), or B where no a is given. Bisection of a full tree is
    k³/8 · B/e, and with a k³/8 · B/(e·a). p planes are p such trees with B/p each.

    Raises
    ------
    InputError
        If the k given has too few ports.

    **Source:** Al-Fares, Loukissas, Vahdat: A scalable, commodity data center network
    architecture, SIGCOMM 2008. **Checked by:** tests/topology/test_builders.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    k = _ports_per_switch(spec, adapters=spec.nodes * len(node.nics))
    nics = [nic for n in range(spec.nodes) for nic in node.add(graph, f"node{n}")]
    half = k // 2
    for prefix, plane in planes(via, spec.planes):
        _add_tree(graph, k, prefix=prefix, via=plane, oversubscription=spec.oversubscription)
        for n, nic in enumerate(nics):
            edge = n // half
            connect_nic(graph, nic, f"{prefix}edge{edge // half}.{edge % half}", via=plane)
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


def _add_tree(
    graph: nx.MultiDiGraph[str],
    k: int,
    *,
    prefix: str,
    via: ScaleOut,
    oversubscription: FatTreeOversubscriptionSpec,
) -> None:
    half, pods = k // 2, range(k)
    above_edge = via.share(1 / oversubscription.edge)
    above = oversubscription.aggregation
    above_aggregation = via if above is None else above_edge.share(1 / above)
    add_switches(graph, (f"{prefix}edge{pod}.{n}" for pod in pods for n in range(half)), level=1)
    add_switches(graph, (f"{prefix}agg{pod}.{n}" for pod in pods for n in range(half)), level=2)
    add_switches(graph, (f"{prefix}core{n}" for n in range(half * half)), level=3)
    for pod, aggregation in itertools.product(pods, range(half)):
        name = f"{prefix}agg{pod}.{aggregation}"
        for n in range(half):
            connect_switches(graph, f"{prefix}edge{pod}.{n}", name, via=above_edge, tier="edge-agg")
            core = f"{prefix}core{aggregation * half + n}"
            connect_switches(graph, name, core, via=above_aggregation, tier="agg-core")
