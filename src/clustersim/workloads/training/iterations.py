"""What each iteration took, and what that says about the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.training.lane import Lane
from clustersim.workloads.training.ledger import CATEGORIES

__all__ = ["PARTS", "Iteration", "IterationLog"]

PARTS = ("compute_s", "bubble_s", "exposed_communication_s", "host_s", "data_stall_s", "waiting_s")
"""Columns that add up to the duration of an iteration."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """One optimizer step; seconds are means over the lanes.

    `PARTS` add up to `duration_s`, and so do forward, backward, optimizer, bubble, exposed
    communication, stall for data and waiting. The six kinds of exposed communication add up to their sum.
    """

    iteration: int
    start_s: float
    duration_s: float
    compute_s: float
    bubble_s: float
    exposed_tensor_s: float
    exposed_pipeline_s: float
    exposed_context_s: float
    exposed_expert_s: float
    exposed_data_s: float
    exposed_offload_s: float
    exposed_communication_s: float
    host_s: float
    data_stall_s: float
    waiting_s: float
    forward_s: float
    backward_s: float
    optimizer_s: float
    communication_s: float
    samples_per_s: float
    trace_row: int

    @classmethod
    def of(
        cls,
        lanes: Sequence[Lane],
        *,
        iteration: int,
        start_s: float,
        end_s: float,
        samples: int,
        trace_row: int,
    ) -> Iteration:
        """Average over the lanes."""
        count = len(lanes)
        parts = {name: sum(lane.ledger.seconds[name] for lane in lanes) / count for name in CATEGORIES}
        kernels = {
            name: sum(lane.ledger.kernels[name] for lane in lanes) / count
            for name in ("forward_s", "backward_s", "optimizer_s")
        }
        exposed_s = sum(seconds for name, seconds in parts.items() if name.startswith("exposed_"))
        return cls(
            iteration=iteration,
            start_s=start_s,
            duration_s=end_s - start_s,
            exposed_communication_s=exposed_s,
            communication_s=sum(lane.ledger.communication_s for lane in lanes) / count,
            samples_per_s=samples / (end_s - start_s),
            trace_row=trace_row,
            **parts,
            **kernels,
        )

    def again(self, *, iteration: int, start_s: float, trace_row: int) -> Iteration:
        """Return the same at another time."""
        return replace(self, iteration=iteration, start_s=start_s, trace_row=trace_row)


class IterationLog:
    """Collects complete iterations and the resources on their critical paths."""

    def __init__(self) -> None:
        self.rows: list[Iteration] = []
        self._seconds: dict[str, float] = {}
        self._bus_bytes = 0.0
        self._reduced_s = 0.0

    def __len__(self) -> int:
        return len(self.rows)

    def add(
        self, row: Iteration, *, path: Iterable[Mapping[str, float]], reduced: tuple[float, float]
    ) -> None:
        """Append an iteration.

        Parameters
        ----------
        path
            Shares of the activities on its critical path.
        reduced
            Bus bytes and seconds of the collectives between replicas. *Equation.* Bus bandwidth =
            Σ bus bytes / Σ seconds: a slow bucket counts with the time that it took.
        """
        self.rows.append(row)
        for shares in path:
            for resource, seconds in shares.items():
                self._seconds[resource] = self._seconds.get(resource, 0.0) + seconds
        self._bus_bytes += reduced[0]
        self._reduced_s += reduced[1]

    def table(self) -> Table:
        """Return one row per complete iteration."""
        columns = zip(*map(astuple, self.rows), strict=True) if self.rows else ((),) * len(fields(Iteration))
        return {
            field.name: _column(field.name, values)
            for field, values in zip(fields(Iteration), columns, strict=True)
        }

    def attribution(self) -> Mapping[str, float]:
        """Return each resource's share of the critical paths; the shares add up to 1."""
        total = sum(self._seconds.values())
        if not total:
            return {}
        return {resource: seconds / total for resource, seconds in sorted(self._seconds.items())}

    def metrics(self) -> dict[str, float]:
        """Return means and percentiles over the complete iterations; empty without any."""
        if not self.rows:
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


_MEANS = tuple(
    field.name
    for field in fields(Iteration)
    if field.name not in ("iteration", "start_s", "duration_s", "samples_per_s", "trace_row")
)


def _column(name: str, values: Iterable[Any]) -> np.ndarray:
    return np.array(list(values), dtype=np.int64 if name in ("iteration", "trace_row") else np.float64)
