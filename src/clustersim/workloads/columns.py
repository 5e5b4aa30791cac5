"""What the metrics and table columns of workloads mean: one table that code and docs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["NEED_METRICS", "Better", "ColumnInfo", "MetricInfo"]

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class MetricInfo:
    """One metric of a workload kind.

    `name` is the flat key in `Outcome.metrics` without statistic (`ttft_s` stands for
    `ttft_s.mean`, `ttft_s.p99`, …); `better` says which direction is an improvement.
    """

    name: str
    unit: str
    description: str
    better: Better


@dataclass(frozen=True)
class ColumnInfo:
    """One column of a table in `Outcome.tables`."""

    name: str
    unit: str
    description: str


NEED_METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("work.units_per_s", "1/s", "Units of work per second; fact `work.unit` says which.", "higher"),
    MetricInfo(
        "work.flops_per_unit", "1", "FLOPs executed per unit of work, recomputed ones included.", "neither"
    ),
    MetricInfo(
        "work.hbm_bytes_per_unit", "B", "Bytes through the memory of GPUs per unit of work.", "neither"
    ),
    MetricInfo(
        "work.network_bytes_per_unit",
        "B",
        "Bytes that GPUs send to others, inside nodes as well, per unit of work.",
        "neither",
    ),
    MetricInfo(
        "work.messages_per_unit",
        "1",
        "Collectives and sends per unit of work, each counted once for every GPU that takes part.",
        "neither",
    ),
)
"""Of every workload whose work can be counted; see `clustersim.workloads.needs.Needs`."""
