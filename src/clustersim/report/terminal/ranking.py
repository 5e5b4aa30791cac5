"""The part of the summary on services that rank: latency, what a query's time is, batches, money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, percent, rate, size
from clustersim.report.query_time import QUERY_PARTS, band, counted_queries, mean_of, parts_by_resource
from clustersim.report.tables import Column, add_row, grid, inset, line
from clustersim.report.terminal.lines import WIDE, Writers, bar, economics, figures, written
from clustersim.report.terminal.serving import latency_table
from clustersim.report.terminal.stages import experiment_lines, push_lines, stage_lines
from clustersim.report.words import QUERY_LATENCIES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.workloads.base import Outcome

__all__ = ["ranking_service_lines"]

_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p99.9")
_FEW_STATISTICS = ("mean", "p50", "p95", "p99")
_PART_COLUMNS: tuple[Column, ...] = (
    ("part of a query", "left"),
    ("time", "right"),
    ("share", "right"),
    ("", "left"),
    ("slowest 1 %", "right"),
    ("share", "right"),
)
_SLOWEST = 0.99
_WORTH_SHOWING = 0.0005

_THROUGHPUT: Writers = (
    ("queries_per_s", lambda value: rate(value, "queries")),
    ("samples_per_s", lambda value: rate(value, "samples")),
    ("slo_attainment", lambda value: f"SLO attained by {percent(value)}"),
    ("goodput_per_s", lambda value: f"goodput {rate(value, 'queries')}"),
)
_STATE: Writers = (
    ("batch_samples.mean", lambda value: f"batches of {value:,.0f} samples"),
    ("batch_queries.mean", lambda value: f"{value:.1f} queries on average"),
    ("utilization", lambda value: f"devices run kernels {percent(value)} of the time"),
    ("hit_rate", lambda value: f"{percent(value)} of look-ups hit the cache"),
    ("memory_bytes", lambda value: f"{size(value)} of memory on the fullest GPU"),
)


def ranking_service_lines(outcome: Outcome, width: int) -> list[RenderableType]:
    """Return latencies, parts of a query's time, throughput, batches, and stages or arms where there are."""
    metrics = outcome.metrics
    if "latency_s.mean" not in metrics:
        return [line("No query was answered.")]
    statistics = _STATISTICS if width >= WIDE else _FEW_STATISTICS
    groups = (_throughput(metrics), written(metrics, _STATE), economics(outcome))
    return [
        inset(latency_table(metrics, QUERY_LATENCIES, statistics)),
        *_parts(outcome, bars=width >= WIDE),
        *stage_lines(outcome, wide=width >= WIDE),
        *experiment_lines(outcome),
        *push_lines(outcome),
        "",
        *figures(groups, width),
    ]


def _throughput(metrics: Mapping[str, float]) -> list[str]:
    done, sent = metrics.get("queries_finished"), metrics.get("queries_sent")
    answered = f"{count(done)} of {count(sent)} queries answered" if done is not None and sent else ""
    return [part for part in (answered, *written(metrics, _THROUGHPUT)) if part]


def _parts(outcome: Outcome, *, bars: bool) -> list[RenderableType]:
    """Return what the time of queries is, and what that of the slowest is."""
    table = outcome.tables.get("queries")
    if table is None or not len(table["latency_s"]):
        return []
    queries = counted_queries(table)
    parts = parts_by_resource(queries)
    every = mean_of(parts)
    slowest = mean_of(parts, band(queries["latency_s"], _SLOWEST, 1.0))
    whole_s, slowest_s = sum(every.values()), sum(slowest.values())
    if not whole_s:
        return []
    drawn = grid(*_PART_COLUMNS)
    for name in sorted(every, key=lambda each: -every[each]):
        share, slow_share = every[name] / whole_s, slowest[name] / slowest_s
        if max(share, slow_share) >= _WORTH_SHOWING:
            words, slow = QUERY_PARTS[name], duration(slowest[name])
            add_row(
                drawn,
                words,
                duration(every[name]),
                percent(share),
                bar(share) if bars else "",
                slow,
                percent(slow_share),
            )
    return ["", inset(drawn)]
