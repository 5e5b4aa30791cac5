"""The exact recursion of a ring alone, in numpy: the oracle for the closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ring_finish_s"]


def ring_finish_s(steps: int, *, seconds: ArrayLike, latencies_s: ArrayLike) -> float:
    """Return when the last message of a ring arrives.

    *Equation.* Message s of rank i leaves at
    ``leave(s, i) = max(leave(s-1, i), arrive(s-1, i-1)) + seconds_i`` and arrives
    ``latencies_i`` later.

    Parameters
    ----------
    seconds
        Transmission time of a step's message on connection i (from rank i to i + 1), seconds.
    latencies_s
        Latency of connection i, seconds.

    **Valid when** each connection has its rate to itself.
    """
    busy, latency = np.asarray(seconds, dtype=float), np.asarray(latencies_s, dtype=float)
    leave = np.zeros_like(busy)
    arrive = np.zeros_like(busy)
    for _ in range(steps):
        leave = np.maximum(leave, np.roll(arrive, 1)) + busy
        arrive = leave + latency
    return float(arrive.max())
