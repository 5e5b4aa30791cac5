"""Dragonfly+: groups of leaves and spines, every two groups joined by spines."""

from __future__ import annotations

import itertools

import networkx as nx

from clustersim.spec.topology import DragonflyPlusSpec
from clustersim.topology.builders._groups import global_links, group_count
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic, connect_switches

__all__ = ["build_dragonfly_plus"]


def build_dragonfly_plus(
    spec: DragonflyPlusSpec, *, node: NodeTemplate, via: ScaleOut
) -> nx.MultiDiGraph[str]:
    """Return groups of leaves `leafG.N` and spines `spineG.N`, filled adapter by adapter.

    *Equation.* With p adapters per leaf, l leaves and s spines per group and h global links
    per spine there are at most g = s·h + 1 groups and l·p·g adapters. Each leaf is joined
    to each spine of its group; each two groups by ⌊s·h/(g−1)⌋ links between spines. Diameter
    5 (up, global, down, and two adapters) where a spine joins each pair of groups. Bisection
    of g full groups, g even: at most (g/2)² · ⌊s·h/(g−1)⌋ · B. Balanced: p = s and h = l.

    Raises
    ------
    InputError
        If there are more groups than global links allow, or the groups given hold fewer adapters.

    **Valid when** traffic takes shortest paths.
    **Source:** Shpiner, Haramaty, Eliad, Zdornov, Gafni, Zahavi: Dragonfly+: low cost
    topology for scaling datacenters, HiPINEB 2017.
    **Checked by:** tests/topology/test_closed_forms.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    p, leaves = spec.adapters_per_leaf, spec.leaves_per_group
    spines = spec.spines_per_group or p
    h = spec.global_links_per_spine or leaves
    adapters = spec.nodes * len(node.nics)
    groups = group_count(
        spec.groups, adapters=adapters, adapters_per_group=leaves * p, global_ports=spines * h
    )
    nics = [nic for n in range(spec.nodes) for nic in node.add(graph, f"node{n}")]
    for group in range(groups):
        add_switches(graph, (f"leaf{group}.{n}" for n in range(leaves)), level=1)
        add_switches(graph, (f"spine{group}.{n}" for n in range(spines)), level=2)
        for leaf, spine in itertools.product(range(leaves), range(spines)):
            names = f"leaf{group}.{leaf}", f"spine{group}.{spine}"
            connect_switches(graph, *names, via=via, tier="leaf-spine")
    for n, nic in enumerate(nics):
        connect_nic(graph, nic, f"leaf{n // p // leaves}.{n // p % leaves}", via=via)
    for (group, one), (other_group, other) in global_links(groups, switches=spines, ports=h):
        names = f"spine{group}.{one}", f"spine{other_group}.{other}"
        connect_switches(graph, *names, via=via, tier="global")
    return graph
