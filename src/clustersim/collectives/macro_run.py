"""A collective under way as macro-flows, without a process of its own: a few callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clustersim.collectives.macro import Schedule

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
    """

    route_set: RouteSet
    delay_s: float
    flow_bytes: float
    flow_s: float
    bandwidth_part: float
    slowest_link: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The schedule and protocol that a kind and size run with."""

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
        communicator.note_waits(leg, held_s, own_s, until_s=communicator.world.env.now)
        self._next += 1
        if self._next < len(self._choice.legs):
            self._wait()
        else:
            communicator.finish(self._start_s, self._shares, self._cause, self._label, self._done)
