"""Which replica gets the next request: by turns, by chance, by load."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from clustersim.workloads.inference.fleet.load_board import LoadBoard
from clustersim.workloads.inference.requests import Request

__all__ = ["LeastOutstanding", "PowerOfTwo", "RandomChoice", "RoundRobin", "Router", "ShortestQueue"]


class Router(ABC):
    """Chooses among the ready replicas of a pool, of which there is at least one."""

    @abstractmethod
    def choose(self, request: Request, board: LoadBoard) -> int:
        """Return the replica that gets a request."""

    def left(self, replica: int, request: Request) -> None:
        """Take note that a replica has answered a request, or lost it."""
        return

    def forget(self, replica: int) -> None:
        """Take note that a replica has lost what it had cached."""
        return


class RoundRobin(Router):
    """One replica after the other, whatever their load."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Return the first ready replica from the one after the last."""
        ready = board.is_ready
        chosen = self._next % len(ready)
        while not ready[chosen]:
            chosen = (chosen + 1) % len(ready)
        self._next = chosen + 1
        return chosen


class RandomChoice(Router):
    """Each replica with the same probability."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Draw a replica."""
        return board.ready[int(self._rng.integers(len(board.ready)))]


class LeastOutstanding(Router):
    """The replica with the fewest unanswered requests, the first of equals."""

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Look at all replicas."""
        return min(board.ready, key=board.requests.__getitem__)


class ShortestQueue(Router):
    """Join the shortest queue, counted in prompt tokens of unanswered requests.

    **Source:** Patel et al., Splitwise, ISCA 2024, section IV-A (queues are counted in tokens).
    """

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Look at all replicas."""
        return min(board.ready, key=board.tokens.__getitem__)


class PowerOfTwo(Router):
    """Two replicas by chance, and of them the one with fewer unanswered requests.

    **Source:** Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS
    12(10), 2001: the longest queue grows doubly exponentially more slowly than with one choice.
    **Checked by:** tests/workloads/test_inference_routing.py.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, request: Request, board: LoadBoard) -> int:
        """Draw two different replicas and compare them."""
        ready = board.ready
        if len(ready) == 1:
            return ready[0]
        first, second = self._rng.random(2).tolist()
        one = int(first * len(ready))
        other = int(second * (len(ready) - 1))
        other += other >= one
        return min(ready[one], ready[other], key=board.requests.__getitem__)
