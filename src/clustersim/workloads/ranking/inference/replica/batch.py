"""A batch on its way through a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import simpy

from clustersim.cost.roofline import KernelTime
from clustersim.engine.trace import HOST
from clustersim.workloads.ranking.inference.replica.batching import Piece
from clustersim.workloads.ranking.inference.replica.leap import Leap, leap_of
from clustersim.workloads.ranking.inference.replica.line import Line
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile
from clustersim.workloads.ranking.inference.replica.queued import Queued
from clustersim.workloads.ranking.inference.replica.worker import Worker
from clustersim.workloads.span import Span

__all__ = ["Batch"]


class Batch:
    """Pieces that are computed together; it goes step by step through what its profile says.

    Parameters
    ----------
    env
        Clock.
    worker, pieces, samples, profile
        Who computes what.
    factor
        How many times as long host and device take as the profile says.
    done
        Called at the end.
    after
        What ended at this moment and let it leave the queue; None where nothing held it there.
    """

    __slots__ = (
        "_at",
        "_done",
        "_env",
        "_leap",
        "dispatched_s",
        "factor",
        "last",
        "network_s",
        "pieces",
        "profile",
        "samples",
        "waited_s",
        "worker",
    )

    def __init__(
        self,
        env: simpy.Environment,
        worker: Worker,
        pieces: Sequence[Piece],
        samples: int,
        profile: BatchProfile,
        factor: float,
        done: Callable[[Batch], None],
        *,
        after: Span | None,
    ) -> None:
        self._env = env
        self._done = done
        self._at = 0
        self.worker = worker
        self.pieces = pieces
        self.samples = samples
        self.profile = profile
        self.factor = factor
        self.dispatched_s: float = env.now
        self.waited_s = 0.0
        """Waiting for copies and kernels of other batches."""
        self._leap: Leap | None = None
        self.network_s: dict[str, float] | None = None
        """Seconds by resource that the network took."""
        self.last = after
        """What ended last on its way, with all that led to it."""

    def start(self) -> None:
        """Begin with the first step, or leap to the end where nothing can come in between."""
        leap = self._leap = leap_of(self.profile, self.worker)
        if leap is None:
            self.go_on(None)
            return
        self.network_s = leap.shares
        self._then(leap.own_s * self.factor + leap.network_s, self._land)

    def go_on(self, _: simpy.Event | None) -> None:
        """Begin the next step; after the last the batch is done."""
        steps = self.profile.steps
        if self._at == len(steps):
            self._done(self)
            return
        self._at += 1
        steps[self._at - 1].begin(self)

    def after(self, seconds: float) -> None:
        """Go on after so many seconds of the host."""
        now_s = self._env.now
        self.last = Span(self.last, now_s, now_s + seconds, {HOST: seconds})
        self._then(seconds, self.go_on)

    def join(self, line: Line, time: KernelTime) -> None:
        """Go on after kernels, once those before them in line are done."""
        now_s = self._env.now
        start_s = line.join(now_s, time.seconds * self.factor)
        held_up = start_s > now_s
        self.waited_s += start_s - now_s
        before = line.last if held_up else self.last
        self.last = line.last = Span(before, start_s, line.free_s, (time * self.factor).shares())
        self._then(line.free_s - now_s, self.go_on)

    def send(self, message: Any, queue: Queued[Any]) -> None:
        """Go on when a message has arrived, once those before it in the queue have."""

        def arrived(waited_s: float, shares: Mapping[str, float]) -> None:
            now_s = self._env.now
            before = queue.last if waited_s > 0.0 else self.last
            self.last = queue.last = Span(before, now_s - sum(shares.values()), now_s, shares)
            self.moved(waited_s, shares)

        queue.send(message, arrived)

    def answered(self, waited_s: float, shares: Mapping[str, float]) -> None:
        """Go on after the last of several answers; `shares` are its own seconds."""
        now_s = self._env.now
        begun_s = now_s - waited_s - sum(shares.values())
        self.last = Span(self.last, begun_s, now_s, {**shares, HOST: shares.get(HOST, 0.0) + waited_s})
        self.moved(waited_s, shares)

    def moved(self, waited_s: float, shares: Mapping[str, float]) -> None:
        """Go on after bytes have arrived.

        Parameters
        ----------
        waited_s
            Waiting for messages of other batches.
        shares
            Seconds by resource of its own.
        """
        self.waited_s += waited_s
        known = self.network_s
        if known is None:
            self.network_s = dict(shares)
        else:
            for resource, seconds in shares.items():
                known[resource] = known.get(resource, 0.0) + seconds
        self.go_on(None)

    def _then(self, seconds: float, call: Callable[[simpy.Event], None]) -> None:
        timer = self._env.timeout(seconds)
        assert timer.callbacks is not None  # it has just been made
        timer.callbacks.append(call)

    def _land(self, _: simpy.Event) -> None:
        leap = self._leap
        assert leap is not None
        leap.account(self.dispatched_s, self.factor)
        shares = leap.all_shares(self.profile.shares, self.factor)
        self.last = Span(self.last, self.dispatched_s, self._env.now, shares)
        self._done(self)
