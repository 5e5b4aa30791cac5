"""The part of the summary on services of language models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, money, percent, rate
from clustersim.report.tables import Column, add_row, grid, inset, line
from clustersim.report.terminal.lines import Writers, figures, written
from clustersim.report.words import LATENCIES

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from clustersim.workloads.base import Outcome

__all__ = ["latency_table", "service_lines"]

_STATISTICS = ("mean", "p50", "p90", "p99", "p99.9")

_STATE: Writers = (
    ("slo_attainment", lambda value: f"SLO attained by {percent(value)}"),
    ("goodput_per_s", lambda value: f"goodput {rate(value, 'requests')}"),
    ("usd_per_million_output_tokens", lambda value: f"{money(value)} per million output tokens"),
    ("cache_hit_rate", lambda value: f"{percent(value)} of the prompts found in the cache"),
    ("kv_occupancy.mean", lambda value: f"KV cache {percent(value)} full on average"),
    ("kv_occupancy.max", lambda value: f"{percent(value)} at most"),
    ("batch.mean", lambda value: f"mean batch {value:.1f}"),
    ("preemptions", lambda value: f"{count(value)} preemption{'s' if value != 1 else ''}"),
)


def service_lines(outcome: Outcome, width: int) -> list[RenderableType]:
    """Return latencies, throughput, and how full the service was."""
    metrics = outcome.metrics
    if "e2e_s.mean" not in metrics:
        return [line("No request was finished.")]
    table = latency_table(metrics, LATENCIES, _STATISTICS)
    return [inset(table), *figures((_throughput(metrics), written(metrics, _STATE)), width)]


def latency_table(
    metrics: Mapping[str, float], latencies: Iterable[tuple[str, str]], statistics: Sequence[str]
) -> Table:
    """Return a row for each latency that is there, a column for each statistic."""
    columns: list[Column] = [(statistic, "right") for statistic in statistics]
    table = grid(("latency", "left"), *columns)
    for name, words in latencies:
        values = [metrics.get(f"{name}.{statistic}") for statistic in statistics]
        if any(value is not None for value in values):
            add_row(table, words, *("" if value is None else duration(value) for value in values))
    return table


def _throughput(metrics: Mapping[str, float]) -> list[str]:
    parts = []
    if "requests_finished" in metrics:
        sent = metrics.get("requests_sent", metrics["requests_finished"])
        parts.append(f"{count(metrics['requests_finished'])} of {count(sent)} requests finished")
    for name, what in (("requests_per_s", "requests"), ("input_tokens_per_s", "prompt tokens")):
        if name in metrics:
            parts.append(rate(metrics[name], what))
    if "output_tokens_per_s" in metrics:
        parts.append(rate(metrics["output_tokens_per_s"], "output tokens"))
    return parts
