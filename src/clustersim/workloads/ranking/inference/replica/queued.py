"""Messages that go one after the other: the queue in front of a copy engine or a communicator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import simpy

from clustersim.workloads.span import Span

__all__ = ["Arrived", "Over", "Queued"]

Sent = TypeVar("Sent")
Over = Callable[[Mapping[str, float]], None]
"""Told the seconds by resource that a message took."""
Arrived = Callable[[float, Mapping[str, float]], None]
"""Told how long a message waited for those before it, and its own seconds by resource."""


class Queued(ABC, Generic[Sent]):
    """Sends one message at a time, in the order of their coming.

    Parameters
    ----------
    env
        Clock.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._queue: deque[tuple[Sent, float, Arrived]] = deque()
        self._busy = False
        self.last: Span | None = None
        """The message that was sent last."""

    @property
    @abstractmethod
    def private(self) -> bool:
        """Whether closed forms of its messages hold."""

    def send(self, message: Sent, arrived: Arrived) -> None:
        """Send a message after those that came before."""
        self._queue.append((message, self._env.now, arrived))
        if not self._busy:
            self._busy = True
            self._next()

    @abstractmethod
    def _begin(self, message: Sent, over: Over) -> None:
        """Send a message now, and call `over` at its end."""

    def _next(self) -> None:
        if not self._queue:
            self._busy = False
            return
        message, since_s, arrived = self._queue.popleft()
        waited_s = self._env.now - since_s

        def over(shares: Mapping[str, float]) -> None:
            self._next()
            arrived(waited_s, shares)

        self._begin(message, over)
