"""What an all-to-all does to a topology: the load of every link, and which one limits it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.topology._demand import Demand
from clustersim.topology._ports import Ports
from clustersim.topology._sweep import UNREACHED, Fabric, Toward
from clustersim.topology.network import Topology

__all__ = ["AllToAll", "Reach", "UniformTraffic"]

Numbers = NDArray[np.int64]
Rates = NDArray[np.float64]
_FAR = np.iinfo(np.int64).max
_ALIKE = 1e-9
"""Loads that differ by less are taken as equal."""


@dataclass(frozen=True, kw_only=True)
class AllToAll:
    """Where uniform traffic among all GPUs saturates first.

    Parameters
    ----------
    rate_per_gpu_bytes_per_s
        What each GPU can send, to all others alike, when the first link is full.
    tier, link
        Of that link; of several equally loaded ones the first.
    injection_share
        How full the fullest port of a node is then: 1 where the ports are what limits.
    utilisation
        Tier to the load of its fullest link, as a fraction of its bandwidth, then.
    """

    rate_per_gpu_bytes_per_s: float
    tier: str
    link: str
    injection_share: float
    utilisation: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far apart the ports of nodes are.

    Parameters
    ----------
    diameter_links
        Links on the longest shortest path between two ports.
    path_diversity
        Least and greatest number of shortest paths between ports that are so far apart.
    """

    diameter_links: int
    path_diversity: tuple[int, int]


class UniformTraffic:
    """Every GPU sends at one rate to every other: fractional loads, and distances on the way.

    *Equation.* load_l = Σ over pairs of the fraction that routing puts on link l, by equal parts
    at each hop (always the first under `single-path`); with every GPU sending 1 B/s it is
    load_l/(N−1), so the rate at which the first link is full is min_l C_l·(N−1)/load_l. One search
    and one pass over the switches per switch that destinations hang on serve all pairs. Where
    all links of a tier are alike by symmetry (torus, hypercube, HyperX), one destination does.
    Inside nodes only the first of those that are wired alike is loaded.

    **Valid when** many connections average ECMP's choices out; single hash collisions are worse.
    **Checked by:** tests/topology/test_all_to_all.py, against the routes of all pairs.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._first_only = topology.routing == "single-path"
        self._fabric = Fabric(topology.wires, first_only=self._first_only)
        self._load: Rates = np.zeros(len(topology.link_names))
        self._arc_load: Rates = np.zeros(len(self._fabric.link))
        self._farthest = 0
        self._diversity: list[float] = []
        demand = Demand(topology.wires, first_only=self._first_only)
        self._ports = Ports(topology.wires, demand, self._fabric)
        for link, units in demand.inside.items():
            self._load[link] += units
        self._send_all()

    def _send_all(self) -> None:
        """Load every link outside the nodes, destination by destination."""
        symmetric = not self._first_only and self._is_symmetric()
        for _, _, links, units in self._ports.cables:
            self._load[links] += units / len(links)
            self._note(np.array([1]), np.array([float(len(links))]))
        targets = self._ports.targets
        for rows, places in targets[:1] if symmetric else targets:
            self._send(rows, places)
        self._load[self._fabric.link] += self._arc_load
        if symmetric:
            self._level_out(len(targets))

    def _is_symmetric(self) -> bool:
        """Whether the builder says so and nothing was changed since: every vertex has the same links."""
        topology, wires = self._topology, self._topology.wires
        if not topology.graph.graph.get("symmetric"):
            return False
        rates = topology.link_bandwidth_bytes_per_s
        around = {
            (
                wires.kind[vertex],
                *sorted((topology.link_tier[link], rates[link]) for _, link in wires.out[vertex]),
            )
            for vertex, inside in enumerate(wires.in_fabric)
            if inside
        }
        return len(around) == len({kind for kind, *_ in around})

    def _send(self, rows: Numbers, places: Numbers) -> None:
        """Send what goes to the ports that hang on some places, over all shortest paths."""
        ports, fabric = self._ports, self._fabric
        way = fabric.toward(places)
        amount = np.zeros(fabric.size)
        if ports.places.shape[1]:
            self._leave(ports.units_to(rows), way, amount, after=0 if ports.in_fabric[rows[0]] else 1)
        there = fabric.spread(way, amount, self._arc_load)
        ports.arrive(rows, places, there, self._load)

    def _leave(self, units: Rates, way: Toward, amount: Rates, *, after: int) -> None:
        """Bring traffic from the ports into the fabric, over the links that lead nearest."""
        ports = self._ports
        hops = way.hops[ports.places]
        known = (ports.places >= 0) & (hops != UNREACHED)
        least = np.where(known, hops, _FAR).min(axis=1)
        best = known & (hops == least[:, None])
        if self._first_only:
            best &= np.cumsum(best, axis=1) == 1
        share = best * (units / np.maximum(best.sum(axis=1), 1))[:, None]
        np.add.at(amount, ports.places[best], share[best])
        linked = best & (ports.links >= 0)
        np.add.at(self._load, ports.links[linked], share[linked])
        reached = known.any(axis=1)
        before = np.where(ports.in_fabric, 0, 1)
        paths = np.where(best, way.paths[ports.places], 0.0).sum(axis=1)
        self._note((least + before + after)[reached], paths[reached])

    def _note(self, distances: Numbers, paths: Rates) -> None:
        """Keep the number of paths between the ports that are farthest apart."""
        farthest = int(distances.max(initial=0))
        if farthest < self._farthest or farthest == 0:
            return
        if farthest > self._farthest:
            self._farthest, self._diversity = farthest, []
        far = paths[distances == farthest]
        self._diversity += [float(far.min()), float(far.max())]

    def _level_out(self, targets: int) -> None:
        """Spread what one destination put on a tier over all its links, once for each destination."""
        wires = self._topology.wires
        tiers: dict[str, list[int]] = defaultdict(list)
        for link, (source, target) in enumerate(wires.ends):
            if wires.in_fabric[source] or wires.in_fabric[target]:
                tiers[self._topology.link_tier[link]].append(link)
        for links in tiers.values():
            self._load[links] = self._load[links].sum() * targets / len(links)

    def all_to_all(self) -> AllToAll | None:
        """Return what limits an all-to-all; None for a single GPU."""
        topology = self._topology
        if len(topology.gpus) < 2:
            return None
        use: Rates = self._load / topology.link_bandwidth_bytes_per_s / (len(topology.gpus) - 1)
        busiest = self._first_of(np.flatnonzero(use > use.max() * (1 - _ALIKE)))
        fullness: Rates = use / use[busiest]
        by_tier: dict[str, float] = defaultdict(float)
        for tier, share in zip(topology.link_tier, fullness.tolist(), strict=True):
            by_tier[tier] = max(by_tier[tier], share)
        return AllToAll(
            rate_per_gpu_bytes_per_s=float(1 / use[busiest]),
            tier=topology.link_tier[busiest],
            link=topology.link_names[busiest],
            injection_share=float(fullness[self._leaving()].max(initial=0.0)),
            utilisation=dict(by_tier),
        )

    def _first_of(self, equals: Numbers) -> int:
        """Return the first link outside the nodes, if any, of several equally loaded ones."""
        wires = self._topology.wires
        outside = [
            link
            for link in equals.tolist()
            if wires.in_fabric[wires.ends[link][0]] or len({wires.node[end] for end in wires.ends[link]}) > 1
        ]
        return int(outside[0] if outside else equals[0])

    def _leaving(self) -> list[int]:
        """Links that leave a node, or a chip that forwards."""
        wires = self._topology.wires
        return [
            link
            for link, (source, target) in enumerate(wires.ends)
            if wires.node[source] is not None
            and (wires.node[source] != wires.node[target] or wires.in_fabric[source])
        ]

    def reach(self) -> Reach | None:
        """Return the distances between ports; None where no two ports are joined."""
        if not self._farthest:
            return None
        least, most = int(min(self._diversity)), int(max(self._diversity))
        return Reach(diameter_links=self._farthest, path_diversity=(least, most))
