"""What happened to the replicas of a service, in the order of time."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["FleetEvent", "FleetEventKind", "FleetLog"]

FleetEventKind = Literal["start", "ready", "drain", "stop", "fail", "recover"]


class FleetEvent(NamedTuple):
    """One change of one replica.

    `start`: it begins to start; `ready`: it takes requests; `drain`: it takes no more and finishes
    what it has; `stop`: its GPUs are given back; `fail`: what it was computing is lost; `recover`: it is
    repaired and begins to start.
    """

    time_s: float
    kind: FleetEventKind
    replica: int


class FleetLog:
    """Append-only list of events, and counts of what failures did to requests."""

    def __init__(self) -> None:
        self.events: list[FleetEvent] = []
        self.retries = 0
        """Times that a request was sent again, or computed again where it was."""
        self.lost = 0
        """Requests that were given up."""

    def note(self, time_s: float, kind: FleetEventKind, replica: int) -> None:
        """Add an event."""
        self.events.append(FleetEvent(time_s, kind, replica))
