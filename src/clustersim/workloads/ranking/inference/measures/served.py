"""What a ranking service did until now, as columns in the order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.spec.ranking.objectives import RankingSloSpec
from clustersim.workloads.ranking.inference.queries import Queries
from clustersim.workloads.ranking.inference.replica.batch_log import BatchLog
from clustersim.workloads.ranking.inference.replica.profile import BatchProfile
from clustersim.workloads.running_cost import RunningCost

__all__ = ["ServedQueries"]


@dataclass(frozen=True)
class ServedQueries:
    """What a service did until now.

    Parameters
    ----------
    queries, log
        All that were sent, and all batches that are done.
    profiles
        What batches went through, by number.
    start_s, now_s
        When the service opened, and the time of looking.
    warmup_s
        Queries that arrived earlier than this after the start are not counted.
    slo
        What was promised.
    devices, gpus
        Devices that compute, and GPUs that are held.
    memory_bytes
        Of the fullest GPU.
    hit_rate
        Of a cache of rows; None without one.
    running
        Price and power of the GPUs.
    """

    queries: Queries
    log: BatchLog
    profiles: Sequence[BatchProfile]
    start_s: float
    now_s: float
    warmup_s: float
    slo: RankingSloSpec
    devices: int
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

    def of_profiles(self, name: str) -> np.ndarray:
        """Return an attribute of all profiles."""
        return np.array([getattr(profile, name) for profile in self.profiles], dtype=float)
