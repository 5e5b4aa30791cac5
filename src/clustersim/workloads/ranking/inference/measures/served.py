"""What a ranking service did until now, as columns in the order of arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.spec.ranking.objectives import RankingSloSpec
from clustersim.workloads.ranking.inference.queries import Queries
from clustersim.workloads.ranking.inference.replica.batch_log import BatchLog
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile
from clustersim.workloads.running_cost import RunningCost

__all__ = ["ServedQueries", "Visits"]


@dataclass(frozen=True)
class Visits:
    """What one pool did: every query that came to it is a visit.

    Parameters
    ----------
    name
        Of the pool; empty where the service has one.
    queries, log
        Its rows, and all batches that are done.
    profiles
        What batches went through, by number.
    devices
        How many compute.
    on_paths
        Seconds by resource on the critical paths of visits.
    origin
        Query of the service that each visit belongs to; None: rows are those of the service.
    final
        Its scores are the query's answer: no stage comes behind.
    """

    name: str
    queries: Queries
    log: BatchLog
    profiles: Sequence[BatchProfile]
    devices: int
    on_paths: Mapping[str, float]
    origin: np.ndarray | None = None
    final: bool = True

    def of_profiles(self, name: str) -> np.ndarray:
        """Return an attribute of all profiles."""
        return np.array([getattr(profile, name) for profile in self.profiles], dtype=float)

    def of_batches(self, name: str) -> np.ndarray:
        """Return an attribute of the profile of each batch."""
        found: np.ndarray = self.of_profiles(name)[self.log.column("profile")]
        return found

    @property
    def finished(self) -> np.ndarray:
        """Whether each visit is over."""
        finished: np.ndarray = np.isfinite(self.queries.column("finish_s"))
        return finished


@dataclass(frozen=True)
class ServedQueries:
    """What a service did until now.

    Parameters
    ----------
    queries
        All that were sent.
    visits
        Of each pool that queries go to.
    start_s, now_s
        When the service opened, and the time of looking.
    warmup_s
        Queries that arrived earlier than this after the start are not counted.
    slo
        What was promised.
    gpus
        That are held.
    memory_bytes
        Of the fullest GPU.
    hit_rate
        Of a cache of rows; None without one.
    running
        Price and power of the GPUs.
    """

    queries: Queries
    visits: Sequence[Visits]
    start_s: float
    now_s: float
    warmup_s: float
    slo: RankingSloSpec
    gpus: int
    memory_bytes: float
    hit_rate: float | None
    running: RunningCost | None

    @property
    def counted_from_s(self) -> float:
        """The end of the warm-up."""
        return self.start_s + self.warmup_s

    @cached_property
    def order(self) -> np.ndarray:
        """Rows of the queries in the order of arrival."""
        return np.argsort(self.queries.column("arrival_s"), kind="stable")

    def column(self, name: str) -> np.ndarray:
        """Return a column of the queries, in the order of arrival."""
        found: np.ndarray = self.queries.column(name)[self.order]
        return found

    @cached_property
    def arrival_s(self) -> np.ndarray:
        """Arrivals."""
        return self.column("arrival_s")

    @cached_property
    def finish_s(self) -> np.ndarray:
        """Ends; NaN for queries that are not answered."""
        return self.column("finish_s")

    @cached_property
    def samples(self) -> np.ndarray:
        """Candidates."""
        return self.column("samples")

    @cached_property
    def finished(self) -> np.ndarray:
        """Whether each is answered."""
        finished: np.ndarray = np.isfinite(self.finish_s)
        return finished

    @cached_property
    def counted(self) -> np.ndarray:
        """Whether metrics count it: it arrived after the warm-up."""
        counted: np.ndarray = self.arrival_s >= self.counted_from_s
        return counted

    @cached_property
    def latency_s(self) -> np.ndarray:
        """From arrival to end."""
        latency: np.ndarray = self.finish_s - self.arrival_s
        return latency

    @cached_property
    def waiting_s(self) -> np.ndarray:
        """From when each stood in a queue to when the batch of its first piece began, all visits together."""
        waiting = np.zeros(len(self.queries))
        for visits in self.visits:
            queries = visits.queries
            own_s = queries.column("dispatched_s") - queries.column("submitted_s")
            origin = np.arange(len(waiting)) if visits.origin is None else visits.origin
            waiting += np.bincount(origin, weights=own_s, minlength=len(waiting))
        found: np.ndarray = waiting[self.order]
        return found
