"""How a pool makes batches, with the engine's defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.spec.ranking.batching import BatchingSpec

__all__ = ["Rules"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a pool makes batches.

    Parameters
    ----------
    max_samples
        Of a batch.
    max_delay_s
        An idle worker waits so long for a batch to fill.
    split
        Queries are cut into pieces of at most so many samples, and what waits is shared over the idle
        workers; None: neither.
    scatter
        Standard deviation of the logarithm of a batch's time on host and device.
    """

    max_samples: int
    max_delay_s: float = 0.0
    split: int | None = None
    scatter: float = 0.0

    @classmethod
    def of(cls, spec: BatchingSpec, engine: RankingEngine) -> Self:
        """Fill in what the scenario leaves to the engine."""
        most = engine.max_samples if spec.max_samples is None else spec.max_samples
        return cls(max_samples=most, max_delay_s=spec.max_delay, split=spec.split, scatter=engine.scatter)

    @property
    def largest_piece(self) -> int:
        """Most samples of a piece of a query."""
        return self.max_samples if self.split is None else min(self.split, self.max_samples)
