"""Timing of kernels on a clock that the caller synchronises."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["best_seconds", "held_seconds"]

_BATCH_S = 5e-3
"""A batch of executions lasts at least so long, so that reading the clock does not count."""
_BATCHES = 7


def best_seconds(kernel: Callable[[], object], *, synchronise: Callable[[], None]) -> float:
    """Return the time of one execution in the fastest of several batches.

    Whatever else runs on the machine only ever adds to a batch.
    """
    kernel()
    synchronise()
    once_s = _batch(kernel, 1, synchronise)
    executions = max(1, round(_BATCH_S / max(once_s, 1e-7)))
    return min(_batch(kernel, executions, synchronise) for _ in range(_BATCHES))


def held_seconds(kernel: Callable[[], object], *, hold_s: float, synchronise: Callable[[], None]) -> float:
    """Return the mean time of one execution in the second half of `hold_s` seconds without a pause."""
    executions = max(1, round(hold_s / 2 / best_seconds(kernel, synchronise=synchronise)))
    _batch(kernel, executions, synchronise)
    return _batch(kernel, executions, synchronise)


def _batch(kernel: Callable[[], object], executions: int, synchronise: Callable[[], None]) -> float:
    begin = time.perf_counter()
    for _ in range(executions):
        kernel()
    synchronise()
    return (time.perf_counter() - begin) / executions
