"""What a topology amounts to: counts, bandwidth, oversubscription, bisection, paths, all-to-all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clustersim import catalog
from clustersim.catalog.device_files import is_device_file
from clustersim.topology.all_to_all import AllToAll, UniformTraffic
from clustersim.topology.bisection import bisection
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
        second, or less along a dimension of a grid; see `clustersim.topology.bisection`. None
        with a single node.
    injection_bytes_per_s
        What the first half of the nodes can send at most; bisection / injection is 1 in a
        fabric that never blocks.
    diameter_links
        Links on the longest shortest path between two network ports. None where there is
        only one.
    path_diversity
        Least and greatest number of shortest paths between ports that are so far apart.
    all_to_all
        What limits uniform traffic among all GPUs; None with a single GPU.
    """

    nodes: int
    gpus: Mapping[str, int]
    switches: Mapping[str, int]
    tiers: tuple[TierSummary, ...]
    oversubscription: Mapping[str, float]
    bisection_bytes_per_s: float | None
    injection_bytes_per_s: float | None
    diameter_links: int | None
    path_diversity: tuple[int, int] | None
    all_to_all: AllToAll | None

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
        if self.diameter_links is not None and self.path_diversity is not None:
            least, most = self.path_diversity
            count = f"{least:,.6g}" if least == most else f"{least:,.6g} to {most:,.6g}"
            lines += [
                f"diameter          {self.diameter_links} links between network ports",
                f"path diversity    {count} shortest path{'' if most == 1 else 's'} between the farthest",
            ]
        return "\n".join([*lines, *(_all_to_all_lines(self.all_to_all) if self.all_to_all else ())])


def gigabit_per_s(bytes_per_s: float) -> str:
    """Write a rate for people: four digits, Gbit/s."""
    return (
        f"{bytes_per_s * 8 / 1e9:,.4g} Gbit/s"
        if bytes_per_s < 1e12
        else f"{bytes_per_s * 8 / 1e12:,.4g} Tbit/s"
    )


def _all_to_all_lines(result: AllToAll) -> list[str]:
    used = ", ".join(f"{tier} {share:.1%}" for tier, share in result.utilisation.items())
    return [
        f"all-to-all        {gigabit_per_s(result.rate_per_gpu_bytes_per_s)} per GPU, "
        f"limited by {result.tier} ({result.link})",
        f"                  busiest link of each tier then: {used}",
    ]


def _delay(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def _tier_line(tier: TierSummary) -> str:
    low, high = (gigabit_per_s(rate) for rate in tier.bandwidth_bytes_per_s)
    fast, slow = map(_delay, tier.latency_s)
    rate = low if low == high else f"{low} to {high}"
    delay = fast if fast == slow else f"{fast} to {slow}"
    return f"{tier.tier}: {tier.cables} × {tier.kind}, {rate} usable each way, {delay}"


def describe(topology: Topology) -> TopologySummary:
    """Return a topology in numbers.

    **Checked by:** tests/topology/test_summary.py, against the builders' closed forms.
    """
    levels = levels_of(topology)
    halves = bisection(topology, levels)
    traffic = UniformTraffic(topology)
    reach = traffic.reach()
    names = [levels.names[level or 0] for level in levels.of]
    switches = Counter(name for name, level in zip(names, levels.of, strict=True) if level)
    return TopologySummary(
        nodes=len(topology.gpus_by_node),
        gpus=dict(Counter(_accelerators(topology))),
        switches={name: switches[name] for name in levels.names[1:]},
        tiers=_tiers(topology),
        oversubscription=_oversubscription(topology, levels),
        bisection_bytes_per_s=halves[0] if halves else None,
        injection_bytes_per_s=halves[1] if halves else None,
        diameter_links=reach.diameter_links if reach else None,
        path_diversity=reach.path_diversity if reach else None,
        all_to_all=traffic.all_to_all(),
    )


def _accelerators(topology: Topology) -> Iterator[str]:
    """Name of each GPU's accelerator; of a device file the name that it gives."""
    for gpu in topology.gpus:
        name = topology.accelerator_of(gpu)
        yield catalog.accelerator(name).name if is_device_file(name) else name


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
