"""What each iteration took, and what that says about the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.training.gradients import Reduced

__all__ = ["Iteration", "IterationLog"]


@dataclass(frozen=True, slots=True)
class Iteration:
    """One optimizer step.

    `compute_s + exposed_communication_s + host_s + waiting_s` is `duration_s`, and so is
    `forward_s + backward_s + optimizer_s + exposed_communication_s + waiting_s`.
    """

    iteration: int
    start_s: float
    duration_s: float
    compute_s: float
    exposed_communication_s: float
    host_s: float
    waiting_s: float
    forward_s: float
    backward_s: float
    optimizer_s: float
    communication_s: float
    samples_per_s: float
    trace_row: int


class IterationLog:
    """Collects complete iterations and the resources on their critical paths."""

    def __init__(self) -> None:
        self._rows: list[Iteration] = []
        self._seconds: dict[str, float] = {}
        self._bus_bytes = 0.0
        self._reduced_s = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Iteration, *, path: Iterable[Mapping[str, float]]) -> None:
        """Append an iteration; `path` holds the shares of the activities on its critical path."""
        self._rows.append(row)
        for shares in path:
            for resource, seconds in shares.items():
                self._seconds[resource] = self._seconds.get(resource, 0.0) + seconds

    def add_collectives(self, reduced: Sequence[Reduced], *, bus_factor: float) -> None:
        """Count all-reduces; `bus_factor` turns algorithm bandwidth into bus bandwidth.

        *Equation.* bus bandwidth = bus_factor · Σ bytes / Σ seconds: a slow bucket counts with
        the time that it took.
        """
        for item in reduced:
            self._bus_bytes += item.size_bytes * bus_factor
            self._reduced_s += item.record.end_s - item.record.start_s

    def table(self) -> Table:
        """Return one row per complete iteration."""
        columns = (
            zip(*map(astuple, self._rows), strict=True) if self._rows else ((),) * len(fields(Iteration))
        )
        return {
            field.name: _column(field.name, values)
            for field, values in zip(fields(Iteration), columns, strict=True)
        }

    def attribution(self) -> Mapping[str, float]:
        """Return each resource's share of the critical paths; the shares add up to 1."""
        total = sum(self._seconds.values())
        return (
            {resource: seconds / total for resource, seconds in sorted(self._seconds.items())}
            if total
            else {}
        )

    def metrics(self) -> dict[str, float]:
        """Return means and percentiles over the complete iterations; empty without any."""
        if not self._rows:
            return {}
        table = self.table()
        duration_s = table["duration_s"]
        metrics = {"iteration_s.mean": float(duration_s.mean())}
        metrics |= {f"iteration_s.p{p}": float(np.percentile(duration_s, p)) for p in (50, 99)}
        metrics |= {name: float(table[name].mean()) for name in _MEANS}
        metrics["samples_per_s"] = float((table["samples_per_s"] * duration_s).sum() / duration_s.sum())
        if self._reduced_s > 0.0:
            metrics["bus_bandwidth_bytes_per_s"] = self._bus_bytes / self._reduced_s
        return metrics


_MEANS = (
    "compute_s",
    "exposed_communication_s",
    "host_s",
    "waiting_s",
    "forward_s",
    "backward_s",
    "optimizer_s",
    "communication_s",
)


def _column(name: str, values: Iterable[Any]) -> np.ndarray:
    return np.array(list(values), dtype=np.int64 if name in ("iteration", "trace_row") else np.float64)
