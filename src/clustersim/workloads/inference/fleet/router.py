"""Which replica gets the next request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

__all__ = ["Router", "make_router"]

Router = Callable[[Sequence[int]], int]
"""Takes how many requests each replica has outstanding; returns the replica that gets the next one."""


class RoundRobin:
    """One replica after the other, whatever their load."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, outstanding: Sequence[int]) -> int:
        chosen = self._next % len(outstanding)
        self._next += 1
        return chosen


class LeastOutstanding:
    """The replica with the fewest unanswered requests, the first of equals."""

    def __call__(self, outstanding: Sequence[int]) -> int:
        return min(range(len(outstanding)), key=outstanding.__getitem__)


class RandomChoice:
    """Each replica with the same probability."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, outstanding: Sequence[int]) -> int:
        return int(self._rng.integers(len(outstanding)))


def make_router(
    policy: Literal["round-robin", "least-outstanding", "random"], rng: np.random.Generator
) -> Router:
    """Make the router of a policy; only `random` draws from `rng`."""
    if policy == "round-robin":
        return RoundRobin()
    if policy == "least-outstanding":
        return LeastOutstanding()
    return RandomChoice(rng)
