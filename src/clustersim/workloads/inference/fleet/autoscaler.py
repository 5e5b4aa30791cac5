"""More replicas when there is much to do, fewer when there is little."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from heapq import heapify, heapreplace
from typing import Any

import simpy

from clustersim.spec.fleet import AutoscalingSpec
from clustersim.workloads.inference.fleet.member import Member, State
from clustersim.workloads.inference.fleet.pool import Pool

__all__ = ["Autoscaler", "keep_looking"]


def keep_looking(
    env: simpy.Environment, scalers: Sequence[Autoscaler], *, closed: Callable[[], bool]
) -> Generator[simpy.Event, Any, None]:
    """Have the autoscalers of a service look at their times, until it closes.

    It ends, too, where nothing else is left to happen: looks alone must not keep a run going in which
    nothing can move any more.
    """
    due = [(env.now + scaler.interval_s, place) for place, scaler in enumerate(scalers)]
    heapify(due)
    while due:
        at_s, place = due[0]
        yield env.timeout(at_s - env.now)
        if closed():
            return
        scalers[place].look()
        heapreplace(due, (at_s + scalers[place].interval_s, place))
        if env.peek() == math.inf:
            return


class Autoscaler:
    """Looks at a pool at intervals and starts replicas or lets them drain.

    *Equation.* With m the metric summed over the ready replicas, n those that are ready or starting, and τ
    the tolerance, wanted = ⌈m / target⌉ between min and max, or n where |m / (target·n) − 1| ≤ τ. More
    replicas are started at once; of the wanted numbers of the last `cooldown` seconds the largest decides
    how many may stay. Requests that no replica has yet count in `queue` and `outstanding`.

    Parameters
    ----------
    spec
        What the scenario says.
    pool
        Whose replicas.

    **Source:** the algorithm of Kubernetes' HorizontalPodAutoscaler with its defaults (tolerance 0.1, a
    look every 15 s, 300 s stabilisation of scale-down; kubernetes.io/docs, Horizontal Pod Autoscaling).
    **Checked by:** tests/workloads/test_inference_autoscaling.py.
    """

    def __init__(self, env: simpy.Environment, spec: AutoscalingSpec, pool: Pool) -> None:
        self._env = env
        self._spec = spec
        self._pool = pool
        self._wanted: deque[tuple[float, int]] = deque([(env.now, self._running)])
        self._busy_s = [0.0] * len(pool.members)

    @property
    def interval_s(self) -> float:
        """From one look to the next."""
        return self._spec.interval

    @property
    def _running(self) -> int:
        return self._pool.count(State.READY, State.STARTING)

    def look(self) -> None:
        """Measure, and add or take away."""
        now_s, running = self._env.now, self._running
        wanted = self._wanted_replicas(running)
        self._wanted.append((now_s, wanted))
        while self._wanted[0][0] < now_s - self._spec.cooldown:
            self._wanted.popleft()
        if wanted > running:
            self._add(wanted - running)
        else:
            self._take_away(running - max(number for _, number in self._wanted))

    def _wanted_replicas(self, running: int) -> int:
        spec = self._spec
        total = self._measure()
        if running and abs(total / (spec.target * running) - 1.0) <= spec.tolerance:
            wanted = running
        else:
            wanted = math.ceil(total / spec.target)
        return min(spec.max, max(spec.min, wanted))

    def _measure(self) -> float:
        """Return the metric, summed over ready replicas."""
        pool = self._pool
        ready = pool.board.ready
        if self._spec.metric == "outstanding":
            return float(sum(pool.board.requests[place] for place in ready) + len(pool.waiting))
        if self._spec.metric == "queue":
            queued = sum(len(pool.members[place].engine.scheduler.queue) for place in ready)
            return float(queued + len(pool.waiting))
        if self._spec.metric == "kv":
            return sum(pool.members[place].engine.kv_used_fraction for place in ready)
        return sum(self._busy_share(place) for place in ready)

    def _busy_share(self, place: int) -> float:
        """Share of the time since the last look in which a replica had requests."""
        before_s, self._busy_s[place] = self._busy_s[place], self._pool.board.busy_seconds(place)
        return (self._busy_s[place] - before_s) / self._spec.interval

    def _add(self, count: int) -> None:
        """Keep replicas that are about to end, then start others, lowest number first."""
        for state in (State.DRAINING, State.STOPPED):
            for member in self._pool.members:
                if count and member.state is state:
                    member.start()
                    count -= 1

    def _take_away(self, count: int) -> None:
        """Let the replicas with the fewest requests drain, of equals the last."""
        board = self._pool.board

        def load(member: Member) -> tuple[int, int]:
            return self._pool.load_of(member), -member.number

        for member in sorted((self._pool.members[place] for place in board.ready), key=load)[: max(0, count)]:
            self._pool.drain(member)
