"""What the metrics and table columns of workloads mean: one table that code and docs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Better", "ColumnInfo", "MetricInfo"]

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
