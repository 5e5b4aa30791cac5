"""A plan as macro-flows: each phase one fluid variable, with its closed form when alone.

*Equation.* The macro-flow is one variable x, the rate of one transport connection, with w_l·x on
link l, w_l the connections there. Alone a phase takes T of `clustersim.collectives.phase_cost`. The flow
of a ring has the bound x ≤ bytes/T; the others run at full pace after what T has beyond their bytes.
Max-min sharing with other flows, connection by connection, does the rest.

**Valid when** alone, or beside flows that last longer than a few steps; beside competitors
smaller than what is in flight on a ring it is pessimistic by up to two thirds, and the result says so
(`clustersim.collectives.hidden_delays`). Phases are barriers to the bytes: all ranks send those of the
next one together, where step by step each does when its own part is done, and may then get in the way
of others that are still behind.
**Source:** max-plus algebra (Baccelli et al., Synchronization and Linearity, 1992).
**Checked by:** tests/collectives against `reference.ring_finish_s` and the stepwise expansion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.catalog.collectives import CollectiveCosts
from clustersim.collectives.hidden_delays import in_flight_part
from clustersim.collectives.load import FALLBACKS, PhaseLoad, phase_load, protocol_of
from clustersim.collectives.phase_cost import PhaseCost, Timing, phase_costs
from clustersim.collectives.plan import Phase, Plan
from clustersim.collectives.rank_entries import RankEntries, are_rounds

__all__ = ["MacroPhase", "Schedule", "connection_paces", "priced", "schedule"]

_WITH_OWN_PART = ("ring", "direct")
"""Families in which a rank copies a block of its own beside those that it sends."""


@dataclass(frozen=True, eq=False)
class MacroPhase:
    """A phase as a fluid on the fabric.

    Parameters
    ----------
    weights
        Transport connections on each link of `load.links`.
    costs
        By protocol.
    """

    phase: Phase
    load: PhaseLoad
    weights: tuple[float, ...]
    costs: Mapping[str, PhaseCost]

    def bytes_moved(self, size_bytes: float) -> float:
        """Return the bytes of the fabric's variable: those of one transport connection."""
        return size_bytes * self.load.unit

    @cached_property
    def in_flight_part(self) -> float:
        """Part of those bytes that is under way at once; see `clustersim.collectives.hidden_delays`."""
        return in_flight_part(self.phase)


@dataclass(frozen=True, eq=False)
class Schedule:
    """A plan with its macro-phases on one topology.

    Parameters
    ----------
    start_s
        By protocol that all connections know: time before the first byte moves.
    """

    plan: Plan
    start_s: Mapping[str, float]
    phases: tuple[MacroPhase, ...]

    def alone_s(self, size_bytes: float, protocol: str) -> float:
        """Return the duration when nothing shares a link."""
        return self.start_s[protocol] + sum(
            timing.delay_s + timing.flow_s for timing in self.timings(size_bytes, protocol)
        )

    def timings(self, size_bytes: float, protocol: str) -> list[Timing]:
        """Return delay and time of the bytes of each phase, when nothing shares a link.

        Rounds of messages that ranks enter one by one wait less than each round for its slowest.
        """
        timings = [phase.costs[protocol].timing(size_bytes) for phase in self.phases]
        if self._entries is None:
            return timings
        delay_s = sum(timing.delay_s for timing in timings)
        flow_s = sum(timing.flow_s for timing in timings)
        finish_s = self._entries.finish_s(size_bytes, self._paces(protocol))
        part = min(1.0, max(0.0, finish_s - flow_s) / delay_s) if delay_s > 0 else 1.0
        return [timing._replace(delay_s=part * timing.delay_s) for timing in timings]

    @cached_property
    def _entries(self) -> RankEntries | None:
        return RankEntries(self.plan.phases) if are_rounds(self.plan.phases) else None

    @cached_property
    def _known_paces(self) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
        return {}

    def _paces(self, protocol: str) -> list[tuple[np.ndarray, np.ndarray]]:
        known = self._known_paces
        if protocol not in known:
            known[protocol] = [
                connection_paces(phase.load, self.plan.family, protocol) for phase in self.phases
            ]
        return known[protocol]


def schedule(plan: Plan, capacities: np.ndarray) -> Schedule:
    """Turn a plan into macro-phases, given the links' bandwidths in bytes/s."""
    loads = [phase_load(phase, capacities) for phase in plan.phases]
    return priced(plan, loads)


def priced(plan: Plan, loads: Sequence[PhaseLoad]) -> Schedule:
    """Turn a plan into macro-phases, given what its phases put on the links."""
    technologies = {costs.name: costs for load in loads for costs in load.costs}
    protocols = _common_protocols(list(technologies.values()), plan.family)
    phases = tuple(
        MacroPhase(
            phase,
            load,
            tuple((load.volumes / load.unit).tolist()),
            phase_costs(phase, [(name, *connection_paces(load, plan.family, name)) for name in protocols]),
        )
        for phase, load in zip(plan.phases, loads, strict=True)
    )
    start_s = {name: _start_s(technologies.values(), plan.family, name) for name in protocols}
    return Schedule(plan, start_s, phases)


def _common_protocols(technologies: Sequence[CollectiveCosts], family: str) -> list[str]:
    """Names of the protocols that all technologies have for a family."""
    names = dict.fromkeys(name for key in FALLBACKS[family] for name in technologies[0].families.get(key, ()))
    return [name for name in names if all(protocol_of(costs, family, name) for costs in technologies)]


def _start_s(technologies: Iterable[CollectiveCosts], family: str, name: str) -> float:
    """Largest base latency of the technologies, and largest start of the protocol."""
    protocols = [protocol_of(costs, family, name) for costs in technologies]
    base_s = max(costs.base_latency_s for costs in technologies)
    return base_s + max(protocol.start_latency_s for protocol in protocols if protocol)


def connection_paces(load: PhaseLoad, family: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return for each connection with one protocol 1/X_i in s per byte of the size, and α_i in s."""
    protocols = [protocol_of(costs, family, name) for costs in load.costs]
    known = [protocol for protocol in protocols if protocol is not None]
    efficiency = np.array([protocol.bandwidth_efficiency for protocol in known])
    step_s = np.array([protocol.step_latency_s for protocol in known])
    copies = np.array([protocol.local_copy for protocol in known]) if family in _WITH_OWN_PART else 0.0
    per_byte = (1.0 + copies * load.own_part) / efficiency
    return load.s_per_byte * per_byte[load.technology], load.latency_s + step_s[load.technology]
