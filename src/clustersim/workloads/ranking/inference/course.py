"""The way of a query through a service: to which pools it goes, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.workloads.ranking.inference.measures.served import Visits
from clustersim.workloads.ranking.inference.opening import open_pool
from clustersim.workloads.ranking.inference.plan import PoolPlan
from clustersim.workloads.ranking.inference.pool import RankingPool
from clustersim.workloads.ranking.inference.queries import Queries

__all__ = ["Course", "OnePool", "visits_of"]


class Course(Protocol):
    """Takes queries in and tells when each is done."""

    queries: Queries
    """Of the service."""
    pool: RankingPool
    """Of the service's own model."""

    def send(self, arrival_s: float, samples: int, answered: Callable[[], object] | None) -> None:
        """Send a query on its way; `answered` is called at its end."""

    def visits(self) -> Iterator[Visits]:
        """Yield what each pool did."""


class OnePool:
    """Every query goes to the one pool of the service.

    Parameters
    ----------
    world, plan, name, traffic
        See `open_pool`.
    done
        Called after each query.
    """

    def __init__(
        self, world: World, plan: PoolPlan, *, name: str, traffic: TrafficClass, done: Callable[[], None]
    ) -> None:
        self.pool = open_pool(world, plan, name=name, traffic=traffic, answered=self._answered)
        self.queries = self.pool.queries
        self._plan = plan
        self._done = done
        self._waiting: dict[int, Callable[[], object]] = {}

    def send(self, arrival_s: float, samples: int, answered: Callable[[], object] | None) -> None:
        """Give a query to the pool."""
        row = self.pool.submit(arrival_s, samples)
        if answered is not None:
            self._waiting[row] = answered

    def visits(self) -> Iterator[Visits]:
        """Yield what the pool did."""
        yield visits_of("", self._plan, self.pool)

    def _answered(self, row: int) -> None:
        if self._waiting:
            tell = self._waiting.pop(row, None)
            if tell is not None:
                tell()
        self._done()


def visits_of(
    name: str, plan: PoolPlan, pool: RankingPool, *, origin: np.ndarray | None = None, final: bool = True
) -> Visits:
    """Return what a pool did; see `Visits`."""
    return Visits(
        name,
        pool.queries,
        pool.log,
        tuple(plan.profiles),
        sum(len(replica.devices) for replica in plan.replicas),
        pool.paths.seconds(),
        origin,
        final,
    )
