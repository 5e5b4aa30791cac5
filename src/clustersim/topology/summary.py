"""What a topology amounts to: counts, bandwidth per tier, oversubscription, bisection, diameter."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from clustersim.topology._distances import UNREACHED, FabricDistances
from clustersim.topology.levels import Levels, levels_of
from clustersim.topology.network import Topology

__all__ = ["TierSummary", "TopologySummary", "describe", "gigabit_per_s"]


@dataclass(frozen=True, kw_only=True)
class TierSummary:
    """The links of one tier and technology; rates are usable ones, per direction."""

    tier: str
    kind: str
    cables: int
    """Pairs of links, one in each direction (a link without its opposite counts half, rounded up)."""
    bandwidth_bytes_per_s: tuple[float, float]
    """Least and greatest."""
    latency_s: tuple[float, float]
    """Least and greatest."""


@dataclass(frozen=True, kw_only=True)
class TopologySummary:
    """A topology in numbers; `str()` gives the text that the command line prints.

    Parameters
    ----------
    gpus
        Accelerator to number of GPUs.
    switches
        Tier of switches, from the nodes upwards, to their number.
    oversubscription
        Tier of switches to bandwidth from below / bandwidth upwards, of its worst switch.
    bisection_bytes_per_s
        Most bytes per second from the first half of the nodes (in rank order) to the
        second. Switches of one tier that serve the same half are taken together: exact
        for the standard topologies, never too low for others. None with a single node.
    injection_bytes_per_s
        What the first half of the nodes can send at most; bisection / injection is 1 in a
        fabric that never blocks.
    diameter_links
        Links on the longest shortest path between two network ports. None where there is
        only one.
    """

    nodes: int
    gpus: Mapping[str, int]
    switches: Mapping[str, int]
    tiers: tuple[TierSummary, ...]
    oversubscription: Mapping[str, float]
    bisection_bytes_per_s: float | None
    injection_bytes_per_s: float | None
    diameter_links: int | None

    def __str__(self) -> str:
        gpus = ", ".join(f"{count} × {name}" for name, count in self.gpus.items())
        switches = ", ".join(f"{count} {name}" for name, count in self.switches.items())
        lines = [f"nodes             {self.nodes} with {gpus}", f"switches          {switches or 'none'}"]
        lines += [f"{'links' if not n else '':18}{_tier_line(tier)}" for n, tier in enumerate(self.tiers)]
        ratios = ", ".join(f"{name} {ratio:.4g} : 1" for name, ratio in self.oversubscription.items())
        lines.append(f"oversubscription  {ratios or 'none'}")
        if self.bisection_bytes_per_s is not None and self.injection_bytes_per_s:
            share = self.bisection_bytes_per_s / self.injection_bytes_per_s
            lines.append(
                f"bisection         {gigabit_per_s(self.bisection_bytes_per_s)}, {share:.1%} of injection"
            )
        if self.diameter_links is not None:
            lines.append(f"diameter          {self.diameter_links} links between network ports")
        return "\n".join(lines)


def gigabit_per_s(bytes_per_s: float) -> str:
    """Write a rate for people: four digits, Gbit/s."""
    return (
        f"{bytes_per_s * 8 / 1e9:,.4g} Gbit/s"
        if bytes_per_s < 1e12
        else f"{bytes_per_s * 8 / 1e12:,.4g} Tbit/s"
    )


def _tier_line(tier: TierSummary) -> str:
    low, high = (gigabit_per_s(rate) for rate in tier.bandwidth_bytes_per_s)
    fast, slow = (f"{seconds * 1e6:.3g} us" for seconds in tier.latency_s)
    rate = low if low == high else f"{low} to {high}"
    delay = fast if fast == slow else f"{fast} to {slow}"
    return f"{tier.tier}: {tier.cables} × {tier.kind}, {rate} usable each way, {delay}"


def describe(topology: Topology) -> TopologySummary:
    """Return a topology in numbers.

    **Checked by:** tests/topology/test_summary.py, against the builders' closed forms.
    """
    levels = levels_of(topology)
    bisection, injection = _bisection(topology, levels)
    names = [levels.names[level or 0] for level in levels.of]
    switches = Counter(name for name, level in zip(names, levels.of, strict=True) if level)
    return TopologySummary(
        nodes=len(topology.gpus_by_node),
        gpus=dict(Counter(map(topology.accelerator_of, topology.gpus))),
        switches={name: switches[name] for name in levels.names[1:]},
        tiers=_tiers(topology),
        oversubscription=_oversubscription(topology, levels),
        bisection_bytes_per_s=bisection,
        injection_bytes_per_s=injection,
        diameter_links=_diameter(topology),
    )


def _tiers(topology: Topology) -> tuple[TierSummary, ...]:
    links: dict[tuple[str, str], list[int]] = defaultdict(list)
    for link, key in enumerate(zip(topology.link_tier, topology.link_kind, strict=True)):
        links[key].append(link)
    rows = []
    for (tier, kind), members in links.items():
        rates = topology.link_bandwidth_bytes_per_s[members]
        delays = topology.link_latency_s[members]
        rows.append(
            TierSummary(
                tier=tier,
                kind=kind,
                cables=(len(members) + 1) // 2,
                bandwidth_bytes_per_s=(float(rates.min()), float(rates.max())),
                latency_s=(float(delays.min()), float(delays.max())),
            )
        )
    return tuple(rows)


def _oversubscription(topology: Topology, levels: Levels) -> dict[str, float]:
    wires, rate = topology.wires, topology.link_bandwidth_bytes_per_s
    worst: dict[str, float] = {}
    for level in range(1, levels.top):
        for switch in levels.members(level):
            below = sum(rate[link] for other, link in wires.into[switch] if (levels.of[other] or 0) < level)
            above = sum(rate[link] for other, link in wires.out[switch] if (levels.of[other] or 0) > level)
            if below and above:
                name = levels.names[level]
                worst[name] = max(worst.get(name, 0.0), float(below / above))
    return worst


def _bisection(topology: Topology, levels: Levels) -> tuple[float | None, float | None]:
    """Maximum flow between the halves over switches merged by tier and half."""
    nodes = list(topology.gpus_by_node)
    if len(nodes) < 2:
        return None, None
    group = _groups(topology, levels, set(nodes[: len(nodes) // 2]))
    flow: nx.DiGraph[object] = nx.DiGraph()
    flow.add_nodes_from(("first", "second"))
    wires = topology.wires
    for link, rate in enumerate(topology.link_bandwidth_bytes_per_s.tolist()):
        source, target = (group[end] for end in wires.ends[link])
        if source != target:
            known = flow.get_edge_data(source, target, default={"capacity": 0.0})["capacity"]
            flow.add_edge(source, target, capacity=known + rate)
    injection = sum(fields["capacity"] for _, _, fields in flow.out_edges("first", data=True))
    return float(nx.maximum_flow_value(flow, "first", "second")), float(injection)


def _groups(topology: Topology, levels: Levels, first_half: set[str]) -> list[object]:
    """Return each vertex's group: its half for nodes, (tier, halves below) for switches."""
    wires = topology.wires
    halves: list[frozenset[str]] = [
        frozenset() if node is None else frozenset({"first" if node in first_half else "second"})
        for node in wires.node
    ]
    for level in range(1, levels.top + 1):
        for switch in levels.members(level):
            below = [halves[other] for other, _ in wires.into[switch] if (levels.of[other] or 0) < level]
            halves[switch] = frozenset().union(*below)
    return [
        next(iter(halves[vertex])) if node is not None else (levels.of[vertex], halves[vertex])
        for vertex, node in enumerate(wires.node)
    ]


def _diameter(topology: Topology) -> int | None:
    """Longest shortest path between network ports, over distinct attachments."""
    wires = topology.wires
    distances = FabricDistances(wires)
    ports = [
        vertex
        for vertex, node in enumerate(wires.node)
        if node is not None and any(wires.node[other] != node for other, _ in wires.out[vertex])
    ]
    if len(ports) < 2:
        return None
    leaving = {
        tuple(sorted({place for other, _ in wires.out[port] if (place := distances.local[other]) >= 0}))
        for port in ports
    }
    longest = 1
    for entries in {distances.entries(port) for port in ports}:
        hops = distances.to(entries) if entries else []
        for places in leaving:
            nearest = min((hops[place] for place in places), default=UNREACHED) if hops else UNREACHED
            longest = max(longest, nearest + 2 if nearest < UNREACHED else 0)
    return longest
