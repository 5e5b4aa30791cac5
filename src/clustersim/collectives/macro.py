"""A plan as macro-flows: each phase one fluid variable, with its closed form when alone.

*Equation.* Let x be the rate of a connection of share 1. A phase loads link l with w_l·x,
w_l = Σ of the shares of its connections on l. Connection i moves at most
X_i = e·min_l C_l/w_l, where e is the protocol's efficiency. A ring is a max-plus system: k steps of
b bytes take the longest walk through it, which either stays on the slowest connection or goes
round, so alone

    T = k · max( max_i b/X_i,  mean_i(b/X_i + α_i) )  and up to a round more

(`clustersim.collectives.walks` has the last round, too). The macro-flow moves k·b bytes of x with
the bound x ≤ k·b/T; max-min sharing with other flows, connection by connection, does the rest.

**Valid when** alone, or beside flows that last longer than a few steps; beside competitors
smaller than what is in flight on a ring it is pessimistic by 2 to 30 %.
**Source:** max-plus algebra (Baccelli et al., Synchronization and Linearity, 1992).
**Checked by:** tests/collectives against `reference.ring_finish_s` and the stepwise expansion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.catalog.collectives import Protocol
from clustersim.collectives.plan import Connection, Phase, Pipelined, Plan
from clustersim.collectives.walks import walks

__all__ = ["MacroPhase", "PhaseCost", "Schedule", "pace", "protocol_of", "schedule"]

_FALLBACKS = {
    "ring": ("ring",),
    "tree": ("tree", "ring"),
    "nvls": ("nvls", "tree", "ring"),
    "direct": ("direct", "ring"),
    "send_recv": ("send_recv", "direct", "ring"),
}


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What a phase takes with one protocol.

    Parameters
    ----------
    delay_s
        Latency before its bytes flow.
    walks
        Walks through the phase, as (seconds per byte of a step, latency in seconds): the time of
        b bytes per step is the largest `per_byte·b + latency`.
    """

    delay_s: float
    walks: tuple[tuple[float, float], ...]

    def longest(self, step_bytes: float) -> tuple[float, float]:
        """Return time and latency part of the longest walk, in seconds."""
        return max((per_byte * step_bytes + latency_s, latency_s) for per_byte, latency_s in self.walks)


@dataclass(frozen=True)
class MacroPhase:
    """A phase as a fluid on the fabric.

    The fabric shares links max-min fairly per connection, so its variable is the rate of one
    channel's connection: of the smallest share.

    Parameters
    ----------
    unit_share
        Smallest share of a connection.
    links, weights
        Connections of that share on each link.
    inverse
        w_l/C_l by link, s/B.
    costs
        By protocol.
    """

    phase: Phase
    unit_share: float
    links: tuple[int, ...]
    weights: tuple[float, ...]
    inverse: Mapping[int, float]
    slowest_link: int
    costs: dict[str, PhaseCost]

    def flow_s(self, size_bytes: float, protocol: str) -> float:
        """Return the time that the bytes of a collective of `size_bytes` flow, alone."""
        return self.costs[protocol].longest(size_bytes * self.phase.step_fraction)[0]

    def bytes_moved(self, size_bytes: float) -> float:
        """Return the bytes of the fabric's variable: those of a connection of the smallest share."""
        return size_bytes * self.phase.fraction * self.unit_share

    def bandwidth_part(self, size_bytes: float, protocol: str) -> float:
        """Return the part of the flow's time that scales with 1/bandwidth; the rest is latency."""
        longest_s, latency_s = self.costs[protocol].longest(size_bytes * self.phase.step_fraction)
        return 1.0 - latency_s / longest_s


@dataclass(frozen=True)
class Schedule:
    """A plan with its macro-phases on one topology."""

    plan: Plan
    start_s: Mapping[str, float]
    """By protocol that all its connections know: time before the first byte moves."""
    phases: tuple[MacroPhase, ...]

    def alone_s(self, size_bytes: float, protocol: str) -> float:
        """Return the duration when nothing shares a link."""
        return self.start_s[protocol] + sum(
            phase.costs[protocol].delay_s + phase.flow_s(size_bytes, protocol) for phase in self.phases
        )


def schedule(plan: Plan, capacities: np.ndarray) -> Schedule:
    """Turn a plan into macro-phases, given the links' bandwidths in bytes/s."""
    phases = tuple(_macro_phase(phase, plan.family, capacities) for phase in plan.phases)
    common = [name for name in phases[0].costs if all(name in phase.costs for phase in phases)]
    return Schedule(plan, {name: _start_s(plan, name) for name in common}, phases)


def _start_s(plan: Plan, name: str) -> float:
    """Largest base latency of the connections' technologies, and largest start of the protocol."""
    connections = [connection for phase in plan.phases for connection in phase.connections]
    by_costs = {connection.costs.name: connection for connection in connections}.values()
    protocols = [protocol_of(connection, plan.family, name) for connection in by_costs]
    base_s = max(connection.costs.base_latency_s for connection in by_costs)
    return base_s + max(protocol.start_latency_s for protocol in protocols if protocol)


def protocol_of(connection: Connection, family: str, name: str) -> Protocol | None:
    """Return the protocol of a connection for an algorithm family; None if it has none of this name."""
    families = connection.costs.families
    table = next(families[key] for key in _FALLBACKS[family] if key in families)
    return table.get(name)


def _macro_phase(phase: Phase, family: str, capacities: np.ndarray) -> MacroPhase:
    weights: dict[int, float] = {}
    for connection in phase.connections:
        for link in connection.links:
            weights[link] = weights.get(link, 0.0) + connection.share
    inverse = {link: weight / float(capacities[link]) for link, weight in weights.items()}
    slowest = max(inverse, key=lambda link: (inverse[link], -link))
    names = dict.fromkeys(
        name
        for key in _FALLBACKS[family]
        for connection in phase.connections[:1]
        for name in connection.costs.families.get(key, ())
    )
    costs = {name: _cost(phase, family, name, inverse) for name in names if _all_know(phase, family, name)}
    unit = min(connection.share for connection in phase.connections)
    links = tuple(sorted(weights))
    return MacroPhase(
        phase, unit, links, tuple(weights[link] / unit for link in links), inverse, slowest, costs
    )


def _all_know(phase: Phase, family: str, name: str) -> bool:
    return all(protocol_of(connection, family, name) for connection in phase.connections)


def _cost(phase: Phase, family: str, name: str, inverse: dict[int, float]) -> PhaseCost:
    """Cost of a phase with one protocol; `inverse` is w_l/C_l."""
    if isinstance(phase, Pipelined):
        paces = [pace(connection, family, name, inverse) for connection in phase.connections]
        delay_s = _longest_path_s(phase, [latency_s for _, latency_s in paces])
        return PhaseCost(delay_s, ((max(per_byte for per_byte, _ in paces), 0.0),))
    rings = {tuple(pace(connection, family, name, inverse) for connection in ring) for ring in phase.rings}
    return PhaseCost(0.0, tuple({walk for ring in sorted(rings) for walk in walks(ring, phase.steps)}))


def pace(connection: Connection, family: str, name: str, inverse: Mapping[int, float]) -> tuple[float, float]:
    """Return 1/X_i in s/B and α_i in s of a connection with one protocol; `inverse` is w_l/C_l."""
    protocol = protocol_of(connection, family, name)
    assert protocol is not None, f"{connection.costs.name} has no protocol '{name}'"
    per_byte = max(inverse[link] for link in connection.links) / protocol.bandwidth_efficiency
    return per_byte, connection.latency_s + protocol.step_latency_s


def _longest_path_s(phase: Pipelined, latencies_s: Sequence[float]) -> float:
    arrival_s: list[float] = []
    for feeds, latency_s in zip(phase.feeds, latencies_s, strict=True):
        arrival_s.append(latency_s + max((arrival_s[index] for index in feeds), default=0.0))
    return max(arrival_s, default=0.0)
