"""Collectives and sends under way between lanes: who has come, who waits, what comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

import simpy

from clustersim.engine.trace import NO_CAUSE
from clustersim.workloads.span import Span

if TYPE_CHECKING:
    from clustersim.collectives import CollectiveRecord
    from clustersim.workloads.training.kernels import Kernels
    from clustersim.workloads.training.ledger import Ledger

__all__ = ["Meeting", "Party", "Stream"]


class Party(Protocol):
    """What a meeting knows of a lane; `pending` counts collectives that may run beside its kernels."""

    replica: int
    kernels: Kernels
    ledger: Ledger
    pending: int
    last: Span | None


class Meeting:
    """One collective, or one send, of an iteration.

    It starts when all `parties` have come and the one before it on its stream has ended; all who
    wait for it go on together.

    Parameters
    ----------
    dimension
        Which groups of ranks it is for, or `pipeline`.
    run
        Starts it, given the trace row of what let it start; the event's value is its record.
    parties
        Lanes that take part.
    beside
        Fraction of the GPU that it takes from kernels.
    bus_bytes
        What its bus bandwidth is computed from, where somebody asks.
    """

    __slots__ = (
        "_waiters",
        "arrivals",
        "beside",
        "bus_bytes",
        "dimension",
        "lanes",
        "parties",
        "run",
        "span",
        "start_s",
    )

    def __init__(
        self,
        dimension: str,
        run: Callable[[int], simpy.Event],
        *,
        parties: int = 1,
        beside: float = 0.0,
        bus_bytes: float = 0.0,
    ) -> None:
        self.dimension = dimension
        self.parties = parties
        self.run = run
        self.beside = beside
        self.bus_bytes = bus_bytes
        self.lanes: list[Party] = []
        self.arrivals: list[float] = []
        self.start_s = 0.0
        self.span: Span | None = None
        self._waiters: list[simpy.Event] = []

    @property
    def complete(self) -> bool:
        """Whether all have come."""
        return len(self.lanes) == self.parties

    @property
    def came_s(self) -> float:
        """When the last of all came."""
        return self.arrivals[-1]

    def came_of_s(self, replica: int) -> float:
        """Return when the last lane of a replica came."""
        return max(
            time_s for lane, time_s in zip(self.lanes, self.arrivals, strict=True) if lane.replica == replica
        )

    def wait(self, env: simpy.Environment) -> simpy.Event:
        """Return an event for its end."""
        event = env.event()
        if self.span is not None:
            return event.succeed()
        self._waiters.append(event)
        return event

    def begin(self, before: Span | None, now_s: float, ended: Callable[[simpy.Event], None]) -> None:
        """Start; `before` is what ended on the stream at this moment, `ended` is called at the end."""
        self.start_s = now_s
        cause = before if before is not None else self.lanes[-1].last
        event = self.run(NO_CAUSE if cause is None else cause.row)
        for lane in self.lanes:
            lane.kernels.begin_beside(self.beside)

        def finish(done: simpy.Event) -> None:
            self._finish(cast("CollectiveRecord", done.value), cause)
            ended(done)

        if event.callbacks is None:
            finish(event)
        else:
            event.callbacks.append(finish)

    def _finish(self, record: CollectiveRecord, cause: Span | None) -> None:
        self.span = Span(cause, record.start_s, record.end_s, record.shares, record.row)
        for lane in self.lanes:
            lane.kernels.end_beside(self.beside, record.shares)
            lane.pending -= self.beside > 0.0
            lane.ledger.communication_s += record.end_s - record.start_s
        for waiter in self._waiters:
            waiter.succeed()
        self._waiters.clear()


class Stream:
    """Meetings one after the other, in the order in which their first lane came."""

    __slots__ = ("_env", "_queue", "_running")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._queue: deque[Meeting] = deque()
        self._running = False

    def join(self, meeting: Meeting, lane: Party) -> None:
        """Let a lane come to a meeting of this stream."""
        if not meeting.lanes:
            self._queue.append(meeting)
        meeting.lanes.append(lane)
        lane.pending += meeting.beside > 0.0
        meeting.arrivals.append(self._env.now)
        if meeting.complete and not self._running and self._queue[0] is meeting:
            self._begin(None)

    def _begin(self, before: Span | None) -> None:
        self._running = True
        self._queue[0].begin(before, self._env.now, self._ended)

    def _ended(self, _: simpy.Event) -> None:
        meeting = self._queue.popleft()
        self._running = False
        if self._queue and self._queue[0].complete:
            self._begin(meeting.span)
