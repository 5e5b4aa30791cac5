"""Which replica gets the next request: by turns, by chance, by load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

__all__ = [
    "LeastOutstanding",
    "Loads",
    "PowerOfTwo",
    "RandomChoice",
    "RoundRobin",
    "Router",
    "ShortestQueue",
    "router_by_load",
]

Asked = TypeVar("Asked", contravariant=True)
"""What is sent to replicas: requests, queries."""
Board = TypeVar("Board", bound="Loads", contravariant=True)


class Loads(Protocol):
    """What a router knows about the replicas that it chooses from."""

    @property
    def ready(self) -> Sequence[int]:
        """Replicas that take requests, in ascending order."""

    @property
    def is_ready(self) -> Sequence[bool]:
        """The same by replica."""

    @property
    def requests(self) -> Sequence[int]:
        """Unanswered requests of each replica."""

    @property
    def work(self) -> Sequence[int]:
        """How much these ask for: tokens of prompts, samples."""


class Router(ABC, Generic[Asked, Board]):
    """Chooses among the ready replicas of a pool, of which there is at least one."""

    @abstractmethod
    def choose(self, request: Asked, board: Board) -> int:
        """Return the replica that gets a request."""

    def left(self, replica: int, request: Asked) -> None:
        """Take note that a replica has answered a request, or lost it."""
        return

    def forget(self, replica: int) -> None:
        """Take note that a replica has lost what it had cached."""
        return


class RoundRobin(Router[object, Loads]):
    """One replica after the other, whatever their load."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, request: object, board: Loads) -> int:
        """Return the first ready replica from the one after the last."""
        ready = board.is_ready
        chosen = self._next % len(ready)
        while not ready[chosen]:
            chosen = (chosen + 1) % len(ready)
        self._next = chosen + 1
        return chosen


class RandomChoice(Router[object, Loads]):
    """Each replica with the same probability."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, request: object, board: Loads) -> int:
        """Draw a replica."""
        return board.ready[int(self._rng.integers(len(board.ready)))]


class LeastOutstanding(Router[object, Loads]):
    """The replica with the fewest unanswered requests, the first of equals."""

    def choose(self, request: object, board: Loads) -> int:
        """Look at all replicas."""
        return min(board.ready, key=board.requests.__getitem__)


class ShortestQueue(Router[object, Loads]):
    """Join the shortest queue, counted in what unanswered requests ask for: prompt tokens, samples.

    **Source:** Patel et al., Splitwise, ISCA 2024, section IV-A (queues are counted in tokens).
    """

    def choose(self, request: object, board: Loads) -> int:
        """Look at all replicas."""
        return min(board.ready, key=board.work.__getitem__)


class PowerOfTwo(Router[object, Loads]):
    """Two replicas by chance, and of them the one with fewer unanswered requests.

    **Source:** Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS
    12(10), 2001: the longest queue grows doubly exponentially more slowly than with one choice.
    **Checked by:** tests/workloads/test_inference_routing.py.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, request: object, board: Loads) -> int:
        """Draw two different replicas and compare them."""
        ready = board.ready
        if len(ready) == 1:
            return ready[0]
        first, second = self._rng.random(2).tolist()
        one = int(first * len(ready))
        other = int(second * (len(ready) - 1))
        other += other >= one
        return min(ready[one], ready[other], key=board.requests.__getitem__)


def router_by_load(policy: str, rng: np.random.Generator) -> Router[object, Loads]:
    """Make the router of a policy that looks at turns, chance or load alone.

    `random` and `power-of-two` alone draw numbers.
    """
    if policy == "random":
        return RandomChoice(rng)
    if policy == "least-outstanding":
        return LeastOutstanding()
    if policy == "shortest-queue":
        return ShortestQueue()
    if policy == "power-of-two":
        return PowerOfTwo(rng)
    return RoundRobin()
