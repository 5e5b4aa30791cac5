"""What the parts of the summary share: lines of figures, bars, money."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from clustersim.report.numbers import by_unit, money, quantity
from clustersim.report.tables import line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.workloads.base import Outcome

__all__ = ["WIDE", "Writers", "bar", "economics", "figures", "written"]

Writers = tuple[tuple[str, Callable[[float], str]], ...]
"""Metrics, each with the function that writes it."""

WIDE = 96
"""Columns from which on nothing is left out of tables."""

_BAR = 24
_INSET = 4

_ECONOMICS: Writers = (
    ("power_w", lambda value: f"{quantity(value, 'W')} at the meter"),
    ("joules_per_query", lambda value: f"{quantity(value, 'J')} per query"),
    ("price_usd_per_h", lambda value: f"{money(value)}/h"),
    ("usd_per_million_queries", lambda value: f"{money(value)} per million queries"),
    ("run_days", lambda value: f"the whole run: {by_unit(value, '')} days"),
    ("run_energy_kwh", lambda value: quantity(1e3 * value, "Wh")),
    ("run_price_usd", money),
)


def written(metrics: Mapping[str, float], writers: Writers) -> list[str]:
    """Write those of the metrics that are there."""
    return [write(metrics[name]) for name, write in writers if name in metrics]


def economics(outcome: Outcome) -> list[str]:
    """Write power, prices, and whose prices they are."""
    parts = written(outcome.metrics, _ECONOMICS)
    return [*parts, f"at {outcome.facts['price']}"] if "price" in outcome.facts else parts


def figures(groups: Iterable[Iterable[str]], width: int) -> list[RenderableType]:
    """Return a paragraph for each group of figures, with lines that break between figures only."""
    return [line(_joined(parts, width)) for parts in map(list, groups) if parts]


def bar(share: float) -> str:
    """Draw a share as a bar of blocks."""
    return "█" * round(_BAR * min(max(share, 0.0), 1.0))


def _joined(parts: Iterable[str], width: int) -> str:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width - _INSET:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return "\n".join(lines)
