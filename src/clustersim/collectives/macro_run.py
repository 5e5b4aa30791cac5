"""A collective under way as macro-flows, without a process of its own: a few callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clustersim.collectives.hidden_delays import hideable_s, spread
from clustersim.collectives.kinds import parse_kind
from clustersim.collectives.macro import MacroPhase, Schedule
from clustersim.engine.pessimism import PessimisticCollectives

if TYPE_CHECKING:
    import simpy

    from clustersim.collectives.communicator import Communicator
    from clustersim.engine.fabric import Flow, RouteSet

__all__ = ["Choice", "Leg", "MacroRun"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One macro-flow of a chosen schedule, for one collective of a size.

    Parameters
    ----------
    delay_s
        Latency before it.
    flow_bytes, flow_s
        Bytes of the fabric's variable, and how long they take alone.
    bandwidth_part
        Part of `flow_s` that scales with 1/bandwidth.
    slowest_link
        Link that the bandwidth part is booked on when nothing else holds the flow back.
    phase
        Whose bytes they are.
    """

    route_set: RouteSet
    delay_s: float
    flow_bytes: float
    flow_s: float
    bandwidth_part: float
    slowest_link: int
    phase: MacroPhase

    def hideable_s(self, held_s: Mapping[int, float], took_s: float, repeat: int) -> float:
        """Return how much of its delay may hide step by step, where `repeat` collectives took `took_s`."""
        alone_s = repeat * self.flow_s
        round_s = alone_s * self.phase.in_flight_part
        return hideable_s(held_s.values(), took_s - alone_s, alone_s, round_s)


@dataclass(frozen=True, slots=True)
class Choice:
    """The schedule and protocol that a kind and size run with."""

    kind: str
    size_bytes: float
    schedule: Schedule
    protocol: str
    alone_s: float
    legs: tuple[Leg, ...]


class MacroRun:
    """For each leg its latency, then its macro-flow; then the record. Starts when it is made."""

    __slots__ = (
        "_cause",
        "_choice",
        "_communicator",
        "_done",
        "_hiding_s",
        "_label",
        "_next",
        "_repeat",
        "_shares",
        "_start_s",
    )

    def __init__(
        self,
        communicator: Communicator,
        choice: Choice,
        repeat: int,
        cause: int,
        label: str,
        done: simpy.Event,
    ) -> None:
        self._communicator = communicator
        self._choice = choice
        self._repeat = repeat
        self._cause = cause
        self._label = label
        self._done = done
        self._next = 0
        self._hiding_s = 0.0
        self._shares: dict[str, float] = {}
        self._start_s = communicator.world.env.now
        self._wait()

    def _wait(self) -> None:
        delay_s = self._repeat * self._choice.legs[self._next].delay_s
        if delay_s > 0:
            self._communicator.world.env.timeout(delay_s).callbacks.append(self._flow)
        else:
            self._flow(None)

    def _flow(self, _: simpy.Event | None) -> None:
        leg = self._choice.legs[self._next]
        flow = self._communicator.world.fabric.start(
            leg.route_set, self._repeat * leg.flow_bytes, bound_bytes_per_s=leg.flow_bytes / leg.flow_s
        )
        flow.callbacks.append(self._flowed)

    def _flowed(self, flow: Flow) -> None:
        leg, communicator = self._choice.legs[self._next], self._communicator
        held_s, own_s = flow.held_by(), flow.bound_s * leg.bandwidth_part
        for link, seconds in held_s.items():
            communicator.add_share(self._shares, link, seconds)
        communicator.add_share(self._shares, leg.slowest_link, own_s)
        now_s = communicator.world.env.now
        communicator.note_waits(leg, held_s, own_s, until_s=now_s)
        if len(held_s) > 1:
            self._hiding_s += leg.hideable_s(held_s, now_s - flow.started_s, self._repeat)
        self._next += 1
        if self._next < len(self._choice.legs):
            self._wait()
        else:
            if self._hiding_s:
                self._note_pessimism(now_s - self._start_s)
            communicator.finish(self._start_s, self._shares, self._cause, self._label, self._done)

    def _note_pessimism(self, duration_s: float) -> None:
        """Tell the world by how much these collectives may be too slow."""
        choice, communicator = self._choice, self._communicator
        found = PessimisticCollectives(
            workload=communicator.owner,
            kind=parse_kind(choice.kind).words,
            count=self._repeat,
            part=spread(self._hiding_s, duration_s),
            size_bytes=choice.size_bytes,
            in_flight_bytes=max(leg.flow_bytes * leg.phase.in_flight_part for leg in choice.legs),
        )
        communicator.world.pessimism.add(found)
