"""What only some ranking services have: stages of a cascade, arms of an experiment, pushes of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from clustersim.report.numbers import count, duration, money, percent, size
from clustersim.report.tables import Column, add_row, grid, inset, line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.workloads.base import Outcome

__all__ = ["experiment_lines", "push_lines", "stage_lines"]

_STAGE_COLUMNS: tuple[Column, ...] = (
    ("stage", "left"),
    ("candidates", "right"),
    ("mean", "right"),
    ("p50", "right"),
    ("p99", "right"),
    ("in its share", "right"),
)
_WIDE_COLUMNS: tuple[Column, ...] = (("batch", "right"), ("busy", "right"))
_ARM_COLUMNS: tuple[Column, ...] = (
    ("experiment", "left"),
    ("control", "right"),
    ("variant", "right"),
    ("difference", "right"),
    ("95 % interval", "right"),
)
_PUSH_COLUMNS: tuple[Column, ...] = (
    ("latency of queries", "left"),
    ("mean", "right"),
    ("p50", "right"),
    ("p99", "right"),
)
_COMPARED: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("experiment_latency_s.mean", "latency, mean", duration),
    ("experiment_latency_s.p99", "latency, p99", duration),
    ("experiment_engagement.mean", "engagement", lambda value: f"{100.0 * value:.2f} %"),
    ("experiment_usd_per_million_queries", "per million queries", money),
)
"""Metrics of both arms, in words, and how they are written."""


def stage_lines(outcome: Outcome, *, wide: bool) -> list[RenderableType]:
    """Return a row for each pool that queries go through; nothing where there is one."""
    metrics = outcome.metrics
    prefix, suffix = "pool_latency_s.", ".mean"
    names = [
        name.removeprefix(prefix).removesuffix(suffix)
        for name in metrics
        if name.startswith(prefix) and name.endswith(suffix)
    ]
    if not names:
        return []
    table = grid(*_STAGE_COLUMNS, *(_WIDE_COLUMNS if wide else ()))
    for name in names:
        times = [metrics.get(f"{prefix}{name}.{statistic}") for statistic in ("mean", "p50", "p99")]
        rest = (
            _written(metrics.get(f"pool_batch_samples.{name}"), count),
            _written(metrics.get(f"pool_utilization.{name}"), percent),
        )
        add_row(
            table,
            name,
            _candidates(outcome, name),
            *(_written(value, duration) for value in times),
            _written(metrics.get(f"pool_attainment.{name}"), percent),
            *(rest if wide else ()),
        )
    return ["", inset(table)]


def experiment_lines(outcome: Outcome) -> list[RenderableType]:
    """Return control and variant side by side; nothing where there is no experiment."""
    metrics = outcome.metrics
    if "experiment_share" not in metrics:
        return []
    share = metrics["experiment_share"]
    table = grid(*_ARM_COLUMNS)
    add_row(table, "queries", percent(1.0 - share), percent(share), "", "")
    for name, words, write in _COMPARED:
        arms = [metrics.get(f"{name}.{arm}") for arm in ("control", "variant")]
        if None not in arms:
            cells = (_written(value, write) for value in (*arms, metrics.get(f"{name}.difference")))
            add_row(table, words, *cells, _interval(metrics, name, write))
    return ["", inset(table)]


def push_lines(outcome: Outcome) -> list[RenderableType]:
    """Return what pushes of weights took, and the latencies during and between them; nothing without any."""
    metrics = outcome.metrics
    if not metrics.get("pushes"):
        return []
    number = metrics["pushes"]
    each = f"{size(metrics['push_bytes'])} in {duration(metrics['push_s'])}"
    head = f"{count(number)} push{'es' if number != 1 else ''} of new weights, {each}"
    table = grid(*_PUSH_COLUMNS)
    for name, words in (("during", "during a push"), ("between", "between pushes")):
        times = [metrics.get(f"push_latency_s.{name}.{statistic}") for statistic in ("mean", "p50", "p99")]
        if any(value is not None for value in times):
            add_row(table, words, *(_written(value, duration) for value in times))
    return [
        "",
        line(f"{head} ({duration(metrics['push_replica_s'])} for a replica)"),
        *([inset(table)] if table.row_count else []),
    ]


def _candidates(outcome: Outcome, stage: str) -> str:
    """Write how many candidates a query has left in a stage, on average."""
    visits = outcome.tables.get("visits")
    if visits is None:
        return ""
    own = np.asarray(visits["candidates"])[np.asarray(visits["pool"]) == stage]
    return count(float(own.mean())) if len(own) else ""


def _interval(metrics: Mapping[str, float], name: str, write: Callable[[float], str]) -> str:
    low, high = metrics.get(f"{name}.low"), metrics.get(f"{name}.high")
    if low is None or high is None:
        return ""
    return f"{write(low)} to {write(high)}"


def _written(value: float | None, write: Callable[[float], str]) -> str:
    return "" if value is None else write(value)
