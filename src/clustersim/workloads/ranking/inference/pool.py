"""Replicas of one ranking model behind one router."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import simpy

from clustersim.spec.ranking.pool import RankingRoutingPolicy
from clustersim.workloads.ranking.inference.queries import Queries
from clustersim.workloads.ranking.inference.replica.batch_log import BatchLog
from clustersim.workloads.ranking.inference.replica.paths import QueryPaths
from clustersim.workloads.ranking.inference.replica.profile import BatchTimer
from clustersim.workloads.ranking.inference.replica.replica import RankingReplica
from clustersim.workloads.ranking.inference.replica.rules import Rules
from clustersim.workloads.ranking.inference.replica.worker import Worker
from clustersim.workloads.serving.router import router_by_load

__all__ = ["RankingPool", "ReplicaLoads"]


class ReplicaLoads:
    """What the router knows: unanswered queries of each replica, and their samples."""

    __slots__ = ("is_ready", "ready", "requests", "work")

    def __init__(self, replicas: int) -> None:
        self.ready = list(range(replicas))
        """Replicas that take queries, in ascending order."""
        self.is_ready = [True] * replicas
        self.requests = [0] * replicas
        """Queries of each replica that are not answered."""
        self.work = [0] * replicas
        """Samples of these."""

    def set_ready(self, replica: int, *, ready: bool) -> None:
        """Note that a replica takes queries from now on, or no more."""
        self.is_ready[replica] = ready
        self.ready = [place for place, is_ready in enumerate(self.is_ready) if is_ready]


class RankingPool:
    """Gives each query to a replica and tells when its last piece is done.

    A service of one model has one pool. Its columns are those of the service then; where several pools
    work for one service, each has a row for every query that comes to it.

    Parameters
    ----------
    env
        Clock.
    workers
        Of each replica.
    timers
        What batches of each replica go through.
    rules
        How batches are made.
    routing
        Who gets a query.
    answered
        Called with the row of each query that is done.
    streams
        Makes random streams by name.
    """

    def __init__(
        self,
        env: simpy.Environment,
        *,
        workers: Sequence[Sequence[Worker]],
        timers: Sequence[BatchTimer],
        rules: Rules,
        routing: RankingRoutingPolicy,
        answered: Callable[[int], None],
        streams: Callable[[str], np.random.Generator],
    ) -> None:
        self._env = env
        self._answered = answered
        self._router = router_by_load(routing, streams("routing"))
        self.queries = Queries()
        self.log = BatchLog()
        self.paths = QueryPaths()
        self.workers = workers
        self.loads = ReplicaLoads(len(workers))
        self.replicas = [
            RankingReplica(
                env,
                number=number,
                workers=those,
                timer=timer,
                rules=rules,
                queries=self.queries,
                log=self.log,
                answered=self._done,
                rng=streams(f"scatter-{number}"),
                paths=self.paths,
            )
            for number, (those, timer) in enumerate(zip(workers, timers, strict=True))
        ]

    def submit(self, arrival_s: float, samples: int) -> int:
        """Give a query to a replica; return its row, with which `answered` is called.

        Parameters
        ----------
        arrival_s
            When it arrived, now or earlier.
        """
        queries, loads = self.queries, self.loads
        row = queries.add(arrival_s, samples)
        replica = self._router.choose(row, loads)
        now_s = queries.submitted_s[row] = self._env.now
        self.paths.arrived(row, arrival_s=arrival_s, now_s=now_s)
        queries.replica[row] = replica
        loads.requests[replica] += 1
        loads.work[replica] += samples
        self.replicas[replica].submit(row, samples)
        return row

    def _done(self, row: int) -> None:
        queries, loads = self.queries, self.loads
        replica = queries.replica[row]
        loads.requests[replica] -= 1
        loads.work[replica] -= queries.samples[row]
        self._answered(row)
