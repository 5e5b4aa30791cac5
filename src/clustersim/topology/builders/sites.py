"""Several sites, each a cluster of its own, joined by wide-area links."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import networkx as nx

from clustersim.errors import InputError, Problem, did_you_mean
from clustersim.spec.topology import SiteSpec, SitesSpec
from clustersim.topology.builders.wiring import add_switches, connect

__all__ = ["build_sites"]

BuildSite = Callable[[int, SiteSpec], "nx.MultiDiGraph[str]"]


def build_sites(spec: SitesSpec, *, build_site: BuildSite) -> nx.MultiDiGraph[str]:
    """Return the sites' graphs side by side, their gateways joined.

    Vertices of site s are named `s/…`. Its gateway `s/gateway` hangs on the switches of its
    highest tier, or on the first switch where all are of one tier, by links that never are
    the bottleneck: each twice as fast as all wide-area links of the site together.

    Raises
    ------
    InputError
        For a name given twice or unknown, and a site that no wide-area link can hang on.

    **Valid when** the wide-area link, not the way to it inside the site, is what limits.
    **Checked by:** tests/topology/test_sites.py.
    """
    problems = list(_problems(spec))
    if problems:
        raise InputError(problems)
    whole: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graphs = [build_site(number, site) for number, site in enumerate(spec.sites)]
    top = max(max(_levels(graph).values(), default=1) for graph in graphs)
    for number, (site, inside) in enumerate(zip(spec.sites, graphs, strict=True)):
        rate = sum(link.bandwidth for link in spec.links if site.name in link.between)
        _attach(inside, number, level=top + 1, bandwidth_bytes_per_s=2 * rate)
        _copy(inside, whole, site.name)
    for link in spec.links:
        one, other = (f"{name}/gateway" for name in link.between)
        rate, latency_s = float(link.bandwidth), float(link.latency)
        connect(whole, one, other, bandwidth_bytes_per_s=rate, latency_s=latency_s, kind="wan", tier="wan")
    return whole


def _problems(spec: SitesSpec) -> Iterator[Problem]:
    names = [site.name for site in spec.sites]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Problem(("topology", "sites", number, "name"), f"'{name}' names two sites")
        if not any(name in link.between for link in spec.links):
            yield Problem(("topology", "links"), f"no link reaches site '{name}'")
    for number, link in enumerate(spec.links):
        at = ("topology", "links", number, "between")
        yield from (
            Problem(at, f"no site '{name}'.{did_you_mean(name, names)}")
            for name in link.between
            if name not in names
        )
        if link.between[0] == link.between[1]:
            yield Problem(at, f"joins '{link.between[0]}' to itself")
        if link.bandwidth <= 0:
            yield Problem(("topology", "links", number, "bandwidth"), "must be more than zero")


def _levels(site: nx.MultiDiGraph[str]) -> dict[str, int]:
    return {name: fields["level"] for name, fields in site.nodes(data=True) if "level" in fields}


def _attach(site: nx.MultiDiGraph[str], number: int, *, level: int, bandwidth_bytes_per_s: float) -> None:
    """Hang the gateway of a site on its highest switches."""
    levels = _levels(site)
    if not levels or not any(fields["kind"] == "nic" for _, fields in site.nodes(data=True)):
        message = "a site of chips or nodes without a switch has nothing that a wide-area link could hang on"
        raise InputError(Problem(("topology", "sites", number, "topology"), message))
    top = max(levels.values())
    highest = [name for name, own in levels.items() if own == top]
    add_switches(site, ["gateway"], level=level)
    rate = bandwidth_bytes_per_s
    for switch in highest if top > 1 else highest[:1]:
        connect(
            site, switch, "gateway", bandwidth_bytes_per_s=rate, latency_s=0.0, kind="wan", tier="gateway"
        )


def _copy(site: nx.MultiDiGraph[str], whole: nx.MultiDiGraph[str], name: str) -> None:
    for vertex, fields in site.nodes(data=True):
        own = {"node": f"{name}/{fields['node']}"} if "node" in fields else {}
        kept = {key: value for key, value in fields.items() if key != "coordinates"}
        whole.add_node(f"{name}/{vertex}", **{**kept, **own})
    for one, other, fields in site.edges(data=True):
        whole.add_edge(f"{name}/{one}", f"{name}/{other}", **fields)
