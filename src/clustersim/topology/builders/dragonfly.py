"""Dragonfly: groups of fully joined routers, every two groups joined."""

from __future__ import annotations

import itertools

import networkx as nx

from clustersim.spec.topology import DragonflySpec
from clustersim.topology.builders._groups import global_links, group_count
from clustersim.topology.builders.node import NodeTemplate
from clustersim.topology.builders.wiring import ScaleOut, add_switches, connect_nic, connect_switches

__all__ = ["build_dragonfly"]


def build_dragonfly(spec: DragonflySpec, *, node: NodeTemplate, via: ScaleOut) -> nx.MultiDiGraph[str]:
    """Return groups of routers `routerG.R`, filled adapter by adapter.

    *Equation.* With p adapters and h global links per router and a routers per group there
    are at most g = a·h + 1 groups and a·p·g adapters. Each two groups are joined by
    ⌊a·h/(g−1)⌋ links, spread evenly over their routers; ports that are left stay empty. A
    router has p + (a−1) + h ports. Diameter 5 (local, global, local, and two adapters).
    Bisection of g full groups, g even: (g/2)² · ⌊a·h/(g−1)⌋ · B. Balanced: a = 2p = 2h.

    Raises
    ------
    InputError
        If there are more groups than global links allow, or the groups given hold fewer adapters.

    **Valid when** traffic takes shortest paths. Where one over a third group has fewer
    links than local-global-local, it is taken.
    **Source:** Kim, Dally, Scott, Abts: Technology-driven, highly-scalable dragonfly
    topology, ISCA 2008. **Checked by:** tests/topology/test_closed_forms.py.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    p = spec.adapters_per_router
    a = spec.routers_per_group or 2 * p
    h = spec.global_links_per_router or p
    adapters = spec.nodes * len(node.nics)
    groups = group_count(spec.groups, adapters=adapters, adapters_per_group=a * p, global_ports=a * h)
    nics = [nic for n in range(spec.nodes) for nic in node.add(graph, f"node{n}")]
    for group, router in itertools.product(range(groups), range(a)):
        add_switches(graph, [f"router{group}.{router}"], level=1)
        graph.nodes[f"router{group}.{router}"]["coordinates"] = (group, router)
    for n, nic in enumerate(nics):
        connect_nic(graph, nic, f"router{n // p // a}.{n // p % a}", via=via)
    for group, (one, other) in itertools.product(range(groups), itertools.combinations(range(a), 2)):
        connect_switches(graph, f"router{group}.{one}", f"router{group}.{other}", via=via, tier="local")
    for (group, one), (other_group, other) in global_links(groups, switches=a, ports=h):
        names = f"router{group}.{one}", f"router{other_group}.{other}"
        connect_switches(graph, *names, via=via, tier="global")
    return graph
