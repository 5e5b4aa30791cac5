"""Compact cards for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from clustersim.report.comparison import signed_percent
from clustersim.report.numbers import by_unit, duration, percent
from clustersim.report.words import sharers
from clustersim.results.columns import FABRIC, metric_info

if TYPE_CHECKING:
    from clustersim.results import Result
    from clustersim.study.comparison import Comparison

__all__ = ["comparison_card", "result_card"]

_STYLE = "border:1px solid #ccc;border-radius:6px;padding:8px 12px;display:inline-block;font-size:90%"
_CELL = "padding:1px 10px 1px 0;text-align:left"
_COLORS = {"better": "#4477AA", "worse": "#EE6677"}


def result_card(result: Result) -> str:
    """Return headline metrics, the busiest links with who used them, and the bottlenecks as HTML."""
    from clustersim.study.comparison import HEADLINES

    kinds = {name: outcome.kind for name, outcome in result.outcomes.items()} | {FABRIC: FABRIC}
    rows = [
        (name if number == 0 else "", metric, by_unit(metrics[metric], metric_info(kinds[name], metric).unit))
        for name, metrics in result.metrics().items()
        for number, metric in enumerate(m for m in HEADLINES.get(kinds[name], tuple(metrics)) if m in metrics)
    ]
    links = _table(("link", "mean", "full", "protocol-bound", "carried by"), _link_rows(result))
    partial = "" if result.complete else " · <b style='color:#c00'>PARTIAL</b>"
    run = f"seed {result.seed} · {duration(result.simulated_s)} simulated{partial}"
    head = f"<b>{escape(result.scenario.name)}</b> · {run}"
    sentences = "".join(f"<div>{escape(sentence)}</div>" for sentence in result.bottlenecks().values())
    origin = f"<div style='color:#888'>clustersim {escape(result.version)} · {result.content_hash[:12]}</div>"
    return _card(head, _table(("workload", "metric", "value"), rows), links, sentences, origin)


def _link_rows(result: Result) -> list[tuple[str, ...]]:
    """Rows of the busiest links, one for all that are alike."""
    return [
        (
            f"{use.name} +{alike} alike" if alike else use.name,
            percent(use.mean_utilization),
            duration(use.saturated_s),
            duration(use.protocol_bound_s),
            sharers(use.shared_by),
        )
        for use, alike in result.fabric.alike(3)
    ]


def comparison_card(comparison: Comparison) -> str:
    """Return the headline changes as an HTML table."""
    head = f"<b>{escape(comparison.variants[0])}</b> against {escape(', '.join(comparison.variants[1:]))}"
    rows = [
        (
            row.variant,
            row.workload,
            row.metric,
            by_unit(row.before, row.unit),
            by_unit(row.after, row.unit),
            by_unit(row.change, row.unit) if row.relative is None else signed_percent(row.relative),
            row.verdict,
        )
        for row in comparison.headline()
    ]
    header = ("variant", "workload", "metric", "before", "after", "change", "")
    failed = "".join(
        "<div style='color:#c00'>"
        f"failed: {escape(run.variant)}, seed {run.seed}: {escape(run.record.error)}</div>"
        for run in comparison.failures
    )
    return _card(f"{head} · {comparison.interval_words}", _table(header, rows), failed)


def _card(head: str, *parts: str) -> str:
    return f"<div style='{_STYLE}'><div>{head}</div>{''.join(parts)}</div>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th style='{_CELL}'>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table style='border:none;margin:6px 0'><tr>{top}</tr>{body}</table>"


def _cell(text: str) -> str:
    color = f";color:{_COLORS[text]};font-weight:bold" if text in _COLORS else ""
    return f"<td style='{_CELL}{color}'>{escape(text)}</td>"
