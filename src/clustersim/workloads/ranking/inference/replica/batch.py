"""A batch on its way through a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import simpy

from clustersim.workloads.ranking.inference.replica.batching import Piece
from clustersim.workloads.ranking.inference.replica.leap import Leap, leap_of
from clustersim.workloads.ranking.inference.replica.line import Line
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile
from clustersim.workloads.ranking.inference.replica.worker import Worker

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
    """

    __slots__ = (
        "_at",
        "_done",
        "_env",
        "_leap",
        "dispatched_s",
        "factor",
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
        """Go on after so many seconds."""
        self._then(seconds, self.go_on)

    def join(self, line: Line, seconds: float) -> None:
        """Go on after so many seconds of service, once those before it in line are done."""
        now_s = self._env.now
        start_s = line.join(now_s, seconds)
        self.waited_s += start_s - now_s
        self._then(line.free_s - now_s, self.go_on)

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
        assert self._leap is not None
        self._leap.account(self.dispatched_s, self.factor)
        self._done(self)
