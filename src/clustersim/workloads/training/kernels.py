"""The compute stream of a lane: kernels run slower while collectives take multiprocessors from them."""

from __future__ import annotations

from collections.abc import Mapping

import simpy

from clustersim.workloads.training.beside import Beside

__all__ = ["Kernels"]

_LEAST_LEFT = 0.1
"""Part of the GPU that kernels keep however many collectives run at once (assumed)."""


class Kernels:
    """Runs one stretch of kernels at a time.

    *Equation.* While collectives take the fraction φ of the GPU, a second of kernels takes
    1 / (1 - φ) seconds; a stretch is re-timed whenever φ changes, so that its end is exact. Communication
    in closed form within a stretch is taken to be spread evenly over it, and is not slowed.

    Parameters
    ----------
    env
        The clock.

    **Valid when** kernels have many more tiles than the GPU has multiprocessors, and collectives leave
    memory bandwidth over; see `clustersim.catalog.Accelerator.slowdown_beside_collective`.
    **Checked by:** tests/workloads/test_training_kernels.py.
    """

    __slots__ = (
        "_done",
        "_ended",
        "_env",
        "_left_s",
        "_part",
        "_rate",
        "_running",
        "_since_s",
        "_timer",
    )

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._part = 1.0
        self._rate = 1.0
        self._running: list[Beside] = []
        self._ended: list[Beside] = []
        self._left_s = 0.0
        self._since_s = 0.0
        self._timer: simpy.Event | None = None
        self._done: simpy.Event | None = None

    def run(self, seconds: float, *, kernels_part: float = 1.0) -> simpy.Event:
        """Begin a stretch that takes `seconds` alone, so much of it kernels; the event is its end."""
        self._left_s = seconds
        self._part = kernels_part
        self._ended.clear()
        for each in self._running:
            each.begin_stretch(self._env.now)
        self._rate = self._rate_now()
        self._done = self._env.event()
        self._arm()
        return self._done

    def begin_beside(self, fraction: float) -> None:
        """Give a collective this fraction of the GPU."""
        if fraction:
            self._running.append(Beside(fraction, now_s=self._env.now))
            self._change()

    def end_beside(self, fraction: float, shares: Mapping[str, float]) -> None:
        """Take it back; `shares` are the seconds of the collective by resource."""
        if fraction:
            ended = next(each for each in self._running if each.fraction == fraction)
            ended.end(self._env.now, shares)
            self._running.remove(ended)
            self._ended.append(ended)
            self._change()

    def book_slowdown(self, shares: dict[str, float], slowed_s: float) -> None:
        """Add what the stretch that has just ended took longer than alone, by resource of who slowed it."""
        now_s = self._env.now
        beside = [*self._ended, *self._running]
        if len(beside) == 1:
            beside[0].book(shares, slowed_s)
            return
        weights = [each.weight(now_s) for each in beside]
        total = sum(weights)
        for each, weight in zip(beside, weights, strict=True):
            if weight:
                each.book(shares, slowed_s * weight / total)

    def _change(self) -> None:
        if self._timer is not None:
            self._left_s = max(0.0, self._left_s - (self._env.now - self._since_s) * self._rate)
        self._rate = self._rate_now()
        if self._timer is not None:
            self._arm()

    def _rate_now(self) -> float:
        left = max(_LEAST_LEFT, 1.0 - sum([each.fraction for each in self._running]))
        return 1.0 / (self._part / left + 1.0 - self._part)

    def _arm(self) -> None:
        self._since_s = self._env.now
        timer = self._timer = self._env.timeout(self._left_s / self._rate)
        timer.callbacks.append(self._rang)

    def _rang(self, timer: simpy.Event) -> None:
        if timer is self._timer:
            self._timer = None
            assert self._done is not None
            self._done.succeed()
