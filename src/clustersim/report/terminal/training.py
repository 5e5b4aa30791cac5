"""The part of the summary on training jobs, of networks and of ranking models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clustersim.report.numbers import count, duration, percent, quantity, rate, size
from clustersim.report.tables import add_row, grid, inset, line
from clustersim.report.terminal.lines import Writers, bar, economics, figures, written
from clustersim.report.terminal.ranks import rank_lines
from clustersim.report.words import BREAKDOWN, EXPOSED, RANKING_BREAKDOWN

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from clustersim.workloads.base import Outcome

__all__ = ["ranking_training_lines", "training_lines"]

_ROUNDING = 1e-9
"""Of an iteration: parts of less are sums that were rounded."""

_SPEED: Writers = (
    ("scaling_efficiency", lambda value: f"scaling efficiency {percent(value)}"),
    ("bus_bandwidth_bytes_per_s", lambda value: f"bus bandwidth {quantity(value, 'B/s')}"),
    ("samples_per_s", lambda value: rate(value, "samples")),
    ("tokens_per_s", lambda value: rate(value, "tokens")),
    ("memory_bytes", lambda value: f"{size(value)} of memory per GPU"),
)
_RANKING_SPEED: Writers = (
    ("samples_per_s", lambda value: rate(value, "samples")),
    ("memory_bytes", lambda value: f"{size(value)} of memory on the fullest GPU"),
    ("hbm_utilization", lambda value: f"{percent(value)} of the GPUs' memory bandwidth"),
)
_TRAFFIC: Writers = (
    ("index_bytes", lambda value: f"indices {size(value)}"),
    ("forward_bytes", lambda value: f"pooled embeddings {size(value)}"),
    ("backward_bytes", lambda value: f"their gradients {size(value)}"),
    ("all_reduce_bytes", lambda value: f"sum of gradients {size(value)}"),
    ("kernels", lambda value: f"{count(value)} launches"),
)
"""Of a step of a ranking model, on each GPU."""


def training_lines(outcome: Outcome, width: int) -> list[RenderableType]:
    """Return time and parts of an iteration, speed and money."""
    metrics = outcome.metrics
    if "iteration_s.mean" not in metrics:
        return [line("No iteration was finished.")]
    table = _parts(metrics, BREAKDOWN, always=("compute_s", "exposed_communication_s", "host_s", "waiting_s"))
    speed = written(metrics, _SPEED) + _utilisation(metrics)
    return [line(_head(outcome)), inset(table), *figures((speed, economics(outcome)), width)]


def ranking_training_lines(outcome: Outcome, width: int) -> list[RenderableType]:
    """Return time and parts of a step, what the ranks have to do, speed, bytes and money."""
    metrics = outcome.metrics
    if "iteration_s.mean" not in metrics:
        return [line("No iteration was finished.")]
    speed = written(metrics, _RANKING_SPEED) + _utilisation(metrics)
    traffic = written({name: value for name, value in metrics.items() if value}, _TRAFFIC)
    if traffic:
        traffic[0] = f"each GPU in a step: {traffic[0]}"
    return [
        line(_head(outcome)),
        inset(_parts(metrics, RANKING_BREAKDOWN)),
        *rank_lines(outcome),
        *figures((speed, traffic, economics(outcome)), width),
    ]


def _head(outcome: Outcome) -> str:
    metrics = outcome.metrics
    done = len(outcome.tables["iterations"]["start_s"]) if "iterations" in outcome.tables else 0
    percentiles = "".join(
        f" · {duration(metrics[f'iteration_s.{p}'])} {p}"
        for p in ("p50", "p99")
        if f"iteration_s.{p}" in metrics
    )
    mean = f"iteration time {duration(metrics['iteration_s.mean'])} mean"
    return f"{mean}{percentiles}, over {count(done)} iteration{'s' if done != 1 else ''}"


def _parts(
    metrics: Mapping[str, float], breakdown: tuple[tuple[str, str], ...], *, always: tuple[str, ...] = ()
) -> Table:
    """Return the parts of an iteration as a table; those of no time only if they are asked for."""
    mean_s = metrics["iteration_s.mean"]
    table = grid(("part of an iteration", "left"), ("time", "right"), ("share", "right"), ("", "left"))
    for name, words in breakdown:
        seconds = metrics.get(name, 0.0)
        if seconds <= _ROUNDING * mean_s and name not in always:
            continue
        share = seconds / mean_s if mean_s else 0.0
        add_row(table, words, duration(seconds), percent(share), bar(share))
        if name == "exposed_communication_s":
            for kind, of_it in _exposed(metrics):
                add_row(table, f"  {kind}", duration(of_it), percent(of_it / mean_s))
    return table


def _exposed(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """Kinds of exposed communication that took time; none where all of it is of one kind."""
    kinds = [(words, metrics.get(name, 0.0)) for name, words in EXPOSED]
    some = [(words, seconds) for words, seconds in kinds if seconds > 0.0]
    return some if len(some) > 1 else []


def _utilisation(metrics: Mapping[str, float]) -> list[str]:
    """Write MFU, and HFU where something is recomputed, by both conventions where they differ."""
    shown = []
    for name in ("mfu", "hfu"):
        value, causal = metrics.get(name), metrics.get(f"{name}_causal")
        if value is None or (name == "hfu" and value == metrics.get("mfu")):
            continue
        other = f" ({percent(causal)} without masked pairs)" if causal not in (None, value) else ""
        shown.append(f"{name.upper()} {percent(value)}{other}")
    return shown
