"""The summary of a run as text: what happened to each workload, to the fabric, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from clustersim.report.numbers import by_unit, count, duration, money, percent, quantity, rate, size
from clustersim.report.tables import WIDTH, Column, add_row, grid, inset, line, to_text
from clustersim.report.terminal_fabric import fabric_lines
from clustersim.report.words import BREAKDOWN, EXPOSED, LATENCIES, RANKING_BREAKDOWN

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.results import Result
    from clustersim.workloads.base import Outcome

__all__ = ["renderable", "summary"]

Writers = tuple[tuple[str, Callable[[float], str]], ...]
"""Metrics, each with the function that writes it."""

_BAR = 24
_WIDE = 96

_STATISTICS = ("mean", "p50", "p90", "p99", "p99.9")


def summary(result: Result, *, width: int = WIDTH) -> str:
    """Return the summary as plain text, at most `width` columns wide."""
    return to_text(renderable(result, width=width), width=width)


def renderable(result: Result, *, width: int = WIDTH) -> RenderableType:
    """Return the summary for a `rich.console.Console`, which adds colour on a terminal.

    Below 96 columns the table of links leaves out tiers.
    """
    from rich.console import Group

    parts: list[RenderableType] = [*_head(result)]
    for outcome in result.outcomes.values():
        parts += ["", *_workload(outcome, width)]
    parts += ["", *fabric_lines(result.fabric, wide=width >= _WIDE), "", *_bottlenecks(result)]
    return Group(*parts)


def _head(result: Result) -> list[RenderableType]:
    from rich.text import Text

    took = f"{duration(result.simulated_s)} simulated in {duration(result.wall_s)}"
    origin = f"seed {result.seed} · clustersim {result.version} · {result.content_hash[:12]}"
    lines: list[RenderableType] = [
        Text.assemble((result.scenario.name, "bold"), (f"   {took} · {origin}", "dim"), overflow="fold")
    ]
    if not result.complete:
        why = "; ".join(result.notes) or "the run was stopped before its end"
        lines.append(
            Text(f"PARTIAL RESULT: {why}. Figures are of what had happened until then.", style="bold red")
        )
    else:
        lines += [Text(f"Note: {note}", style="yellow") for note in result.notes]
    return lines


def _workload(outcome: Outcome, width: int) -> list[RenderableType]:
    sections = {"training": _training, "ranking-training": _training, "inference": _service}
    body = sections.get(outcome.kind, _other)(outcome, width)
    notes = [line(f"Note: {note}", style="yellow") for note in outcome.notes]
    if not outcome.complete:
        notes.insert(0, line("Had not finished when the run ended.", style="yellow"))
    return [_title(outcome), *body, *notes]


def _title(outcome: Outcome) -> RenderableType:
    from rich.text import Text

    facts = outcome.facts
    parts = [str(facts["model"])] if "model" in facts else []
    if "gpus" in facts:
        what = f"× {facts['accelerator']}" if "accelerator" in facts else "GPUs"
        parts.append(f"on {count(float(facts['gpus']))} {what}")
    if "replicas" in facts and outcome.kind == "inference":
        replicas = int(float(facts["replicas"]))
        parts.append(f"in {replicas} replica{'s' if replicas != 1 else ''}")
    return Text.assemble((outcome.name, "bold cyan"), f"  {outcome.kind}: {' '.join(parts)}".rstrip(": "))


def _training(outcome: Outcome, width: int) -> list[RenderableType]:
    metrics = outcome.metrics
    mean_s = metrics.get("iteration_s.mean")
    if mean_s is None:
        return [line("No iteration was finished.")]
    done = len(outcome.tables["iterations"]["start_s"]) if "iterations" in outcome.tables else 0
    head = f"iteration time {duration(mean_s)} mean" + "".join(
        f" · {duration(metrics[f'iteration_s.{p}'])} {p}"
        for p in ("p50", "p99")
        if f"iteration_s.{p}" in metrics
    )
    table = grid(("part of an iteration", "left"), ("time", "right"), ("share", "right"), ("", "left"))
    ranking = outcome.kind == "ranking-training"
    for name, words in RANKING_BREAKDOWN if ranking else BREAKDOWN:
        seconds = metrics.get(name, 0.0)
        if not seconds and (ranking or name in ("bubble_s", "data_stall_s")):
            continue  # a job without pipeline, or whose samples are always there
        share = seconds / mean_s if mean_s else 0.0
        add_row(table, words, duration(seconds), percent(share), _bar(share))
        if name == "exposed_communication_s":
            for kind, of_it in _exposed(metrics):
                add_row(table, f"  {kind}", duration(of_it), percent(of_it / mean_s))
    return [
        line(f"{head}, over {count(done)} iteration{'s' if done != 1 else ''}"),
        inset(table),
        *(line(_joined(parts, width)) for parts in (_speed(metrics), _economics(outcome)) if parts),
    ]


def _exposed(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """Kinds of exposed communication that took time; none where all of it is of one kind."""
    kinds = [(words, metrics.get(name, 0.0)) for name, words in EXPOSED]
    some = [(words, seconds) for words, seconds in kinds if seconds > 0.0]
    return some if len(some) > 1 else []


def _speed(metrics: Mapping[str, float]) -> Sequence[str]:
    writers: Writers = (
        ("scaling_efficiency", lambda value: f"scaling efficiency {percent(value)}"),
        ("bus_bandwidth_bytes_per_s", lambda value: f"bus bandwidth {quantity(value, 'B/s')}"),
        ("samples_per_s", lambda value: rate(value, "samples")),
        ("tokens_per_s", lambda value: rate(value, "tokens")),
        ("memory_bytes", lambda value: f"{size(value)} of memory per GPU"),
    )
    return [write(metrics[name]) for name, write in writers if name in metrics] + _utilisation(metrics)


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


def _economics(outcome: Outcome) -> Sequence[str]:
    metrics = outcome.metrics
    writers: Writers = (
        ("power_w", lambda value: f"{quantity(value, 'W')} at the meter"),
        ("price_usd_per_h", lambda value: f"{money(value)}/h"),
        ("run_days", lambda value: f"the whole run: {by_unit(value, '')} days"),
        ("run_energy_kwh", lambda value: quantity(1e3 * value, "Wh")),
        ("run_price_usd", money),
    )
    parts = [write(metrics[name]) for name, write in writers if name in metrics]
    return [*parts, f"at {outcome.facts['price']}"] if "price" in outcome.facts else parts


def _service(outcome: Outcome, width: int) -> list[RenderableType]:
    metrics = outcome.metrics
    if "e2e_s.mean" not in metrics:
        return [line("No request was finished.")]
    statistics: list[Column] = [(statistic, "right") for statistic in _STATISTICS]
    table = grid(("latency", "left"), *statistics)
    for name, words in LATENCIES:
        values = [metrics.get(f"{name}.{statistic}") for statistic in _STATISTICS]
        if any(value is not None for value in values):
            add_row(table, words, *("" if value is None else duration(value) for value in values))
    return [inset(table), *(line(_joined(parts(metrics), width)) for parts in (_throughput, _state))]


def _throughput(metrics: Mapping[str, float]) -> Iterable[str]:
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


def _state(metrics: Mapping[str, float]) -> Iterable[str]:
    writers: Writers = (
        ("slo_attainment", lambda value: f"SLO attained by {percent(value)}"),
        ("goodput_per_s", lambda value: f"goodput {rate(value, 'requests')}"),
        ("usd_per_million_output_tokens", lambda value: f"{money(value)} per million output tokens"),
        ("cache_hit_rate", lambda value: f"{percent(value)} of the prompts found in the cache"),
        ("kv_occupancy.mean", lambda value: f"KV cache {percent(value)} full on average"),
        ("kv_occupancy.max", lambda value: f"{percent(value)} at most"),
        ("batch.mean", lambda value: f"mean batch {value:.1f}"),
        ("preemptions", lambda value: f"{count(value)} preemption{'s' if value != 1 else ''}"),
    )
    return (write(metrics[name]) for name, write in writers if name in metrics)


def _other(outcome: Outcome, width: int) -> list[RenderableType]:
    table = grid(("metric", "left"), ("value", "right"))
    for name, value in outcome.metrics.items():
        add_row(table, name, f"{value:.6g}")
    return [inset(table)]


def _bottlenecks(result: Result) -> list[RenderableType]:
    from rich.text import Text

    return [Text("where the time goes", style="bold cyan"), *map(line, result.bottlenecks().values())]


def _joined(parts: Iterable[str], width: int) -> str:
    """Join into lines that break between parts only."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width - 4:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return "\n".join(lines)


def _bar(share: float) -> str:
    return "█" * round(_BAR * min(max(share, 0.0), 1.0))
