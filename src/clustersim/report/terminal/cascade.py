"""Tables of what only some ranking services have: stages, arms of an experiment, pushes of weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.report.numbers import by_unit, count, percent
from clustersim.report.tables import Column, add_row, grid, inset, line
from clustersim.results.columns import documented_tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.workloads.base import Outcome, Table

__all__ = ["cascade_lines"]

_SHOWN = ("stages", "arms", "differences", "pushes")
_MOST_ROWS = 10
_SHARES = ("share", "utilization", "attainment", "engaged")
"""Ends of the names of columns that are written as percentages."""


def cascade_lines(outcome: Outcome) -> list[RenderableType]:
    """Return those of the tables that the service has, each with at most ten rows."""
    lines: list[RenderableType] = []
    for name in _SHOWN:
        table = outcome.tables.get(name)
        rows = len(next(iter(table.values()), ())) if table else 0
        if table and rows:
            lines += ["", inset(_drawn(table, _units(outcome.kind, name)))]
            if rows > _MOST_ROWS:
                lines.append(line(f"and {count(rows - _MOST_ROWS)} more {name}"))
    return lines


def _units(kind: str, table: str) -> dict[str, str]:
    return {column.name: column.unit for column in documented_tables(kind).get(table, ())}


def _drawn(table: Table, units: dict[str, str]) -> RenderableType:
    """Draw the first rows; texts to the left, numbers to the right as their units ask for."""
    columns: list[Column] = [
        (_title(name), "left" if np.asarray(values).dtype.kind in "UO" else "right")
        for name, values in table.items()
    ]
    drawn = grid(*columns)
    for row in range(min(_MOST_ROWS, len(next(iter(table.values()))))):
        cells = (_cell(name, values[row], units.get(name, "")) for name, values in table.items())
        add_row(drawn, *cells)
    return drawn


def _title(column: str) -> str:
    return column.removesuffix("_s").removesuffix("_bytes").replace("_", " ")


def _cell(name: str, value: Any, unit: str) -> str:
    if isinstance(value, (str, np.str_)):
        return str(value)
    number = float(value)
    if math.isnan(number):
        return ""
    if name.endswith(_SHARES):
        return percent(number)
    if unit in ("", "1", "queries", "samples"):
        return count(number) if number == round(number) or abs(number) >= 100 else f"{number:.3g}"
    return by_unit(number, unit)
