"""A comparison as text: before, after and change of the headline metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clustersim.report.numbers import by_unit
from clustersim.report.tables import WIDTH, Column, add_row, grid, inset, to_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.study.comparison import Change, Comparison

__all__ = ["renderable", "signed_percent", "summary"]

_WIDE = 98
_STYLES = {"better": "green", "worse": "red", "changed": "yellow", "one seed": "dim"}


def summary(comparison: Comparison, *, width: int = WIDTH) -> str:
    """Return the comparison as plain text, at most `width` columns wide."""
    return to_text(renderable(comparison, width=width), width=width)


def renderable(comparison: Comparison, *, width: int = WIDTH) -> RenderableType:
    """Return the comparison for a `rich.console.Console`, which adds colour on a terminal.

    Where it is narrow, the intervals are left out; the verdicts, which come from them, stay.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for variant in comparison.variants[1:]:
        name = f"{comparison.variants[0]} → {variant}"
        rows = [change for change in comparison.headline() if change.variant == variant]
        parts.append(Text.assemble((name, "bold"), (f"   {comparison.interval_words}", "dim")))
        parts += [inset(_table(rows, wide=width >= _WIDE)), ""]
    for run in comparison.failures:
        parts.append(Text(f"FAILED: {run.variant}, seed {run.seed}: {run.record.error}", style="bold red"))
    return Group(*(parts if comparison.failures else parts[:-1]))


def _table(rows: Sequence[Change], *, wide: bool) -> RenderableType:
    values: list[Column] = [(title, "right") for title in ("before", "after", "change")]
    interval: list[Column] = [("95 % interval", "left")] if wide else []
    table = grid(("metric", "left"), *values, *interval, ("", "left"))
    before = ""
    for row in rows:
        if row.workload != before:
            add_row(table, row.workload, style="bold cyan")
            before = row.workload
        add_row(
            table,
            f"  {row.metric}",
            *_cells(row)[: 3 + wide],
            row.verdict,
            style=_STYLES.get(row.verdict, ""),
        )
    return table


def _cells(row: Change) -> tuple[str, str, str, str]:
    interval = ""
    if row.relative_low is not None and row.relative_high is not None:
        interval = f"{signed_percent(row.relative_low)} … {signed_percent(row.relative_high)}"
    elif row.low is not None and row.high is not None:
        interval = f"{by_unit(row.low, row.unit)} … {by_unit(row.high, row.unit)}"
    change = by_unit(row.change, row.unit) if row.relative is None else signed_percent(row.relative)
    return by_unit(row.before, row.unit), by_unit(row.after, row.unit), change, interval


def signed_percent(fraction: float) -> str:
    """Write a relative change: `-67 %`, `+5.2 %`."""
    value = 100.0 * fraction
    return f"{value:+.0f} %" if abs(value) >= 10 else f"{value:+.1f} %" if value else "0 %"
