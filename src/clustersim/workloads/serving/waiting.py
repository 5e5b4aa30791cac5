"""What a server did while somebody waited for it: queues explained by the work that was ahead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["WaitedFor", "waited_for"]


class WaitedFor(NamedTuple):
    """Waiting, by what the server did meanwhile.

    Parameters
    ----------
    times
        For each piece of the server's work: how many waiters it kept waiting, on average over its length.
        Waiters of a moment in which several pieces run are divided between them.
    idle_s
        Seconds of all waiters in which the server did nothing.
    """

    times: np.ndarray
    idle_s: float


def waited_for(
    begin_s: np.ndarray, end_s: np.ndarray, *, since_s: np.ndarray, until_s: np.ndarray
) -> WaitedFor:
    """Divide the time of waiters over the pieces of work that ran while they waited.

    *Equation.* With n(t) waiters and k(t) pieces running, piece i from b to e keeps ∫_b^e n/k dt / (e - b)
    of them waiting; ∫ n dt over k = 0 is idle. If the server's speed changes, its pieces change their
    lengths and with them the wait for them: the waiting of a busy period is a sum of pieces of work
    (infinitesimal perturbation analysis of a single-server queue).

    Parameters
    ----------
    begin_s, end_s
        Of each piece of the server's work.
    since_s, until_s
        Of each waiter.

    **Valid when** the order of service does not depend on the speed.
    **Source:** Ho and Cao, Perturbation Analysis of Discrete Event Dynamic Systems, 1991, chapter 3;
    Glasserman, Gradient Estimation via Perturbation Analysis, 1991.
    **Checked by:** tests/workloads/test_waiting.py (the split is complete, and equals one by small steps).
    """
    marks = np.unique(np.concatenate([begin_s, end_s, since_s, until_s]))
    waiting = _present(marks, since_s, until_s)
    running = _present(marks, begin_s, end_s)
    lengths_s = np.diff(marks, append=marks[-1:])
    idle_s = float((waiting * lengths_s)[running == 0].sum())
    shared = np.divide(waiting, running, out=np.zeros(len(marks)), where=running > 0)
    until = np.concatenate([[0.0], np.cumsum(shared * lengths_s)])
    first, last = np.searchsorted(marks, begin_s), np.searchsorted(marks, end_s)
    times = np.divide(
        until[last] - until[first], end_s - begin_s, out=np.zeros(len(begin_s)), where=end_s > begin_s
    )
    return WaitedFor(times, idle_s)


def _present(marks: np.ndarray, since_s: np.ndarray, until_s: np.ndarray) -> np.ndarray:
    """Return how many of some intervals hold from each mark to the next."""
    size = len(marks) + 1
    came = np.bincount(np.searchsorted(marks, since_s), minlength=size)
    went = np.bincount(np.searchsorted(marks, until_s), minlength=size)
    present: np.ndarray = np.cumsum(came - went)[: len(marks)].astype(float)
    return present
