"""Predicted beside measured: the shape that every validation shares.

A validation reads a table of published measurements (the shipped one, or a user's own with
the same columns), predicts each row with the frozen catalogue and reports the error as it is.
Rows that cannot be modelled are listed with the reason, never dropped.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Progress", "Row", "Validation", "ValidationReport", "no_progress", "read_table", "refused_lines"]

Progress = Callable[[float, float], None]
"""Takes the fraction that is done and seconds since the start."""


def no_progress(fraction: float, seconds: float) -> None:
    """Show nothing."""


_COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#CCBB44", "#777777")
_MARKS = "osD^vP"


@dataclass(frozen=True)
class Row:
    """One measurement and its prediction.

    Parameters
    ----------
    id
        Of the row in its table.
    group
        What errors are averaged over: a system, a table, a size range.
    measured, predicted
        In `unit`; `predicted` is None where the row cannot be modelled.
    reason
        Why it cannot be modelled; empty otherwise.
    x
        Abscissa for plots over a variable (message bytes, GPUs), where there is one.
    """

    id: str
    group: str
    unit: str
    measured: float | None
    predicted: float | None
    reason: str = ""
    note: str = ""
    x: float | None = None

    @property
    def error(self) -> float | None:
        """Relative error, signed: predicted / measured − 1."""
        if self.measured is None or self.predicted is None or self.measured == 0:
            return None
        return self.predicted / self.measured - 1.0


@dataclass(frozen=True)
class ValidationReport:
    """All rows of one validation, with errors by group."""

    title: str
    rows: tuple[Row, ...]
    plotter: Callable[[Sequence[Row]], Figure] | None = None
    left: int = 0
    """Rows that were not reached: the validation was stopped."""

    @property
    def modelled(self) -> tuple[Row, ...]:
        """Rows that have a prediction."""
        return tuple(row for row in self.rows if row.error is not None)

    def errors(self, group: str | None = None) -> np.ndarray:
        """Absolute relative errors of the modelled rows (of one group)."""
        return np.array([abs(row.error or 0.0) for row in self.modelled if group in (None, row.group)])

    def text(self) -> str:
        """Return the table for the terminal: every row under its group, then error by group."""
        lines = [self.title]
        for group in dict.fromkeys(row.group for row in self.rows):
            members = [row for row in self.rows if row.group == group]
            width = max(len(row.id) for row in members)
            units = ", ".join(dict.fromkeys(row.unit for row in members if row.error is not None))
            lines += ["", f"{group}{f' ({units})' if units else ''}"]
            lines += [f"  {row.id:<{width}}  {_outcome(row)}".rstrip() for row in members]
        return "\n".join([*lines, "", *self.summary_lines()])

    def summary_lines(self) -> list[str]:
        """Error by group and over all: rows, median, mean, worst."""
        width = max((len(row.group) for row in self.modelled), default=5)
        header = f"{'group':<{width}} {'rows':>5} {'median':>8} {'mean':>8} {'worst':>8}"
        lines = ["absolute error", header]
        for group in [*dict.fromkeys(row.group for row in self.modelled), None]:
            errors = self.errors(group)
            if len(errors):
                lines.append(
                    f"{group or 'all':<{width}} {len(errors):>5} {np.median(errors):>8.1%} "
                    f"{errors.mean():>8.1%} {errors.max():>8.1%}"
                )
        skipped = len(self.rows) - len(self.modelled)
        lines += [f"{skipped} row{'s' if skipped != 1 else ''} not modelled"] if skipped else []
        return [*lines, *self.left_lines()]

    def left_lines(self) -> list[str]:
        """Say how many rows were not reached, if any."""
        return [f"stopped early: {self.left} rows not reached"] if self.left else []

    def records(self) -> list[dict[str, Any]]:
        """Return per row id, measured, predicted, error, or the reason."""
        keys = ("id", "group", "unit", "measured", "predicted", "error", "reason", "note")
        return [{key: getattr(row, key) for key in keys} for row in self.rows]

    def to_json(self) -> str:
        """Return `records` as one JSON array."""
        return json.dumps(self.records(), indent=1)

    def to_csv(self) -> str:
        """Return `records` as CSV."""
        text, records = io.StringIO(), self.records()
        writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def plot(self, path: Path) -> None:
        """Write a picture of predicted against measured."""
        figure = (self.plotter or plot_against_measured)(self.modelled)
        figure.savefig(path, dpi=150, bbox_inches="tight")


@dataclass(frozen=True)
class Validation:
    """A named comparison of the model with a published table.

    Parameters
    ----------
    name, title
        For the command line.
    shipped
        File under `clustersim/study/validation/data`.
    columns
        Columns that a table must have.
    predict
        Turns table rows (text by column) into `Row`s, in their order.
    report
        How the rows are summed up.
    held_out
        Another shipped file, of systems that nothing was chosen by; its rows have a column `held_out`.
    as_they_come
        Whether `predict` yields pairs of position and `Row` as they are done.
    """

    name: str
    title: str
    shipped: str
    columns: tuple[str, ...]
    predict: Callable[[Sequence[dict[str, str]]], Iterable[Any]]
    plotter: Callable[[Sequence[Row]], Figure] | None = None
    report: type[ValidationReport] = ValidationReport
    held_out: str | None = None
    as_they_come: bool = False

    def run(self, *tables: Path, progress: Progress = no_progress) -> ValidationReport:
        """Predict every row of the shipped tables, or of `tables`.

        Parameters
        ----------
        progress
            Called after each row.

        Raises
        ------
        InputError
            If a table cannot be read or lacks columns.
        KeyboardInterrupt
            Before the first row is done; later, Ctrl-C leaves a report of those that are.
        """
        rows = [row for table in tables for row in self.read(table)] or self.shipped_rows()
        found: dict[int, Row] = {}
        started_s = time.monotonic()
        try:
            for position, row in self._answers(rows):
                found[position] = row
                progress(len(found) / len(rows), time.monotonic() - started_s)
        except KeyboardInterrupt:
            if not found:
                raise
        done = tuple(found[position] for position in sorted(found))
        return self.report(self.title, done, self.plotter, len(rows) - len(found))

    def read(self, table: Path) -> list[dict[str, str]]:
        """Return the rows of a table as text by column."""
        return read_table(table, self.columns)

    def shipped_rows(self) -> list[dict[str, str]]:
        """Return the rows of the shipped tables as text by column."""
        folder = Path(str(resources.files("clustersim.study.validation") / "data"))
        rows = self.read(folder / self.shipped)
        if self.held_out is None:
            return rows
        others = self.read(folder / self.held_out)
        return [*rows, *({**row, "held_out": "yes"} for row in others)]

    def _answers(self, rows: Sequence[dict[str, str]]) -> Iterator[tuple[int, Row]]:
        answers = self.predict(rows)
        return iter(answers) if self.as_they_come else enumerate(answers)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV (or CSV.gz) as text by column.

    Raises
    ------
    InputError
        If there is no such file, a column is missing, a line is broken or no row is there.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            names = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
    missing = [column for column in columns if column not in names]
    if missing:
        raise InputError(f"{path}: column '{missing[0]}' is missing.{did_you_mean(missing[0], names)}")
    if not rows:
        raise InputError(f"{path}: the table has no rows")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(f"{path}:{number}: {len(names)} columns are due, as in the header")
    return rows


def _outcome(row: Row) -> str:
    """Return measured, predicted and error, or why there is no prediction."""
    if row.error is None or row.measured is None or row.predicted is None:
        return f"not modelled: {row.reason}"
    numbers = f"measured {row.measured:>10,.5g}  predicted {row.predicted:>10,.5g}"
    return f"{numbers}  {row.error:+8.1%}  {row.note}"


def refused_lines(rows: Sequence[Row]) -> list[str]:
    """List rows that are not modelled, by reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            reasons.setdefault(row.reason, []).append(row.id)
    lines = [f"  {reason}: {_short_list(names)}" for reason, names in reasons.items()]
    count = sum(map(len, reasons.values()))
    return ["", f"not modelled: {count} row{'s' if count != 1 else ''}", *lines] if lines else []


def _short_list(names: Sequence[str]) -> str:
    """Name the first six, and say how many more there are."""
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown


def plot_against_measured(rows: Sequence[Row]) -> Figure:
    """Scatter of predicted against measured, one mark per group, with ±10 % and ±20 % bands.

    The legend stands beside the axes; each group has a colour and a shape of its own.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 6.5), layout="constrained")
    axes = figure.add_subplot(box_aspect=1)
    measured = np.array([row.measured for row in rows], dtype=float)
    ends = np.array([measured.min() / 1.4, measured.max() * 1.4])
    for band in (0.2, 0.1):
        axes.fill_between(ends, ends * (1 - band), ends * (1 + band), color="0.5", alpha=0.15, lw=0)
    axes.plot(ends, ends, color="0.3", lw=1)
    for n, group in enumerate(dict.fromkeys(row.group for row in rows)):
        points = np.array([(row.measured, row.predicted) for row in rows if row.group == group], dtype=float)
        look: dict[str, Any] = {
            "color": _COLOURS[n % len(_COLOURS)],
            "marker": _MARKS[n // len(_COLOURS) % len(_MARKS)],
        }
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=30,
            label=group,
            alpha=0.85,
            linewidths=0.4,
            edgecolors="white",
            **look,
        )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel=f"measured ({rows[0].unit})", ylabel=f"predicted ({rows[0].unit})")
    axes.set_title("Predicted against measured; bands ±10 % and ±20 %", loc="left", fontweight="bold")
    axes.grid(color="0.9", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=9, frameon=False, loc="outside right upper")
    return figure
