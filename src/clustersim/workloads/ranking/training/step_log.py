"""What each step took, and where its time went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.ranking.training.ledger import CATEGORIES, Seconds

__all__ = ["StepLog", "StepRow"]

_ROUNDING = 1e-10
"""Part of a step below which a difference of its parts is an error of rounding."""


@dataclass(frozen=True)
class StepRow:
    """One step: when, and the seconds of each category on each rank."""

    start_s: float
    end_s: float
    seconds: Seconds
    slowest_rank: int
    trace_row: int

    @property
    def duration_s(self) -> float:
        """From the end of the step before on the last rank to its own."""
        return self.end_s - self.start_s


class StepLog:
    """Collects complete steps."""

    def __init__(self, *, samples: int, ranks: int) -> None:
        self._samples = samples
        self._ranks = ranks
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._slowest: list[int] = []
        self._trace_rows: list[int] = []
        self._means: dict[str, list[float]] = {name: [] for name in CATEGORIES}
        self._by_rank = {name: np.zeros(ranks) for name in CATEGORIES}

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, row: StepRow) -> None:
        """Append a step.

        Means over ranks add up to the duration: what a rank is done earlier than the last one is `waiting_s`.
        """
        self._starts.append(row.start_s)
        self._ends.append(row.end_s)
        self._slowest.append(row.slowest_rank)
        self._trace_rows.append(row.trace_row)
        means = {name: float(by_rank.mean()) for name, by_rank in row.seconds.items()}
        waiting_s = means["waiting_s"] + row.duration_s - sum(means.values())
        means["waiting_s"] = waiting_s if waiting_s > _ROUNDING * row.duration_s else 0.0
        for name, mean in means.items():
            self._means[name].append(mean)
            self._by_rank[name] += row.seconds[name]

    @property
    def seconds(self) -> float:
        """From the start of the first step to the end of the last."""
        return self._ends[-1] - self._starts[0] if self._ends else 0.0

    @property
    def ended_s(self) -> float:
        """When the last step ended; of those that there are."""
        return self._ends[-1]

    def table(self) -> Table:
        """Return one row per complete step."""
        starts, ends = np.array(self._starts), np.array(self._ends)
        durations = ends - starts
        return {
            "iteration": np.arange(len(starts)),
            "start_s": starts,
            "duration_s": durations,
            **{name: np.array(values, dtype=float) for name, values in self._means.items()},
            "samples_per_s": self._samples / durations,
            "slowest_rank": np.array(self._slowest, dtype=np.int64),
            "trace_row": np.array(self._trace_rows, dtype=np.int64),
        }

    def by_rank(self) -> Seconds:
        """Return the mean seconds per step of each category on each rank; zeros without any step."""
        return {name: total / max(len(self), 1) for name, total in self._by_rank.items()}

    def metrics(self) -> dict[str, float]:
        """Return means and percentiles over the complete steps; empty without any."""
        if not self._starts:
            return {}
        durations = np.array(self._ends) - np.array(self._starts)
        metrics = {"iteration_s.mean": float(durations.mean())}
        metrics |= {f"iteration_s.p{p}": float(np.percentile(durations, p)) for p in (50, 99)}
        metrics |= {name: float(np.mean(values)) for name, values in self._means.items()}
        metrics["samples_per_s"] = self._samples * len(self) / self.seconds
        return metrics
