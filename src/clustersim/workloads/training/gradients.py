"""The communication stream: gradient buckets all-reduced one after the other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import simpy

if TYPE_CHECKING:
    from clustersim.collectives import CollectiveRecord, Communicator

__all__ = ["GradientStream", "Reduced"]


@dataclass(frozen=True, slots=True)
class Reduced:
    """A bucket that has been all-reduced.

    `phase` is the index of the compute phase whose end started it, or None where it
    started because the bucket before it had ended.
    """

    size_bytes: float
    phase: int | None
    record: CollectiveRecord


class GradientStream:
    """All-reduces buckets in the order in which they are put; one at a time.

    Parameters
    ----------
    env
        The clock.
    communicator
        All ranks of the job.
    """

    def __init__(self, env: simpy.Environment, communicator: Communicator) -> None:
        self._env = env
        self._communicator = communicator
        self._queue: deque[tuple[float, int, int]] = deque()
        self._busy: tuple[float, int | None] | None = None
        self._drained: simpy.Event | None = None
        self.reduced: list[Reduced] = []

    def clear(self) -> None:
        """Forget the buckets of the iteration before."""
        self.reduced = []

    def put(self, size_bytes: float, *, phase: int, cause: int) -> None:
        """Take a complete bucket; `cause` is the trace row of the phase that completed it."""
        if self._busy is None:
            self._start(size_bytes, phase, cause)
        else:
            self._queue.append((size_bytes, phase, cause))

    @property
    def busy(self) -> bool:
        """Whether a bucket is on its way."""
        return self._busy is not None

    def drained(self) -> simpy.Event:
        """Return an event for the moment when nothing is on its way any more."""
        self._drained = self._env.event()
        if self._busy is None:
            self._drained.succeed()
        return self._drained

    def _start(self, size_bytes: float, phase: int | None, cause: int) -> None:
        self._busy = (size_bytes, phase)
        event = self._communicator.all_reduce(size_bytes, cause=cause, label="gradients")
        if event.callbacks is None:
            self._ended(event)
        else:
            event.callbacks.append(self._ended)

    def _ended(self, event: simpy.Event) -> None:
        assert self._busy is not None
        record = cast("CollectiveRecord", event.value)
        self.reduced.append(Reduced(*self._busy, record))
        if self._queue:
            size_bytes, _, _ = self._queue.popleft()
            self._start(size_bytes, None, record.row)
            return
        self._busy = None
        if self._drained is not None:
            self._drained.succeed()
            self._drained = None
