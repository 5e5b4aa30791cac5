"""What `validate collectives` prints: errors by table, size range and collective, and what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.study.validation.collectives.rows import MIB, RANGES, CollectiveRow, range_of
from clustersim.study.validation.framework import ValidationReport

__all__ = ["GOALS", "CollectivesReport"]

GOALS = (("from 1 MiB", 0.10), ("below 1 MiB", 0.25))
"""Median absolute error that is aimed at, by size of message."""
_CELL = 18


@dataclass(frozen=True)
class CollectivesReport(ValidationReport):
    """Errors of collectives in four ranges of sizes."""

    def text(self) -> str:
        """Return what was understood, the errors and the refusals; rows by `to_json`."""
        lines = [self.title, "", "hardware as understood", *_understood(self.collectives)]
        return "\n".join([*lines, "", *self.summary_lines()])

    @property
    def collectives(self) -> tuple[CollectiveRow, ...]:
        """The modelled rows."""
        return tuple(row for row in self.modelled if isinstance(row, CollectiveRow))

    def medians(self) -> dict[str, float]:
        """Return the median absolute error by name of `GOALS`."""
        large = [abs(row.error or 0.0) for row in self.collectives if (row.x or 0.0) >= MIB]
        small = [abs(row.error or 0.0) for row in self.collectives if (row.x or 0.0) < MIB]
        groups = zip(GOALS, (large, small), strict=True)
        return {name: float(np.median(errors)) for (name, _), errors in groups if errors}

    def summary_lines(self) -> list[str]:
        """Median, 90th percentile and bias by table, by collective and over all; refused rows."""
        rows = self.collectives
        if not rows:
            return _refused(self)
        lines = ["error of the time: median and 90th percentile of its size, and median with sign"]
        lines += _table("table", rows, lambda row: row.table)
        lines += ["", *_table("collective", rows, lambda row: row.kind.replace("_", "-"))]
        lines += ["", *_table("nodes", rows, lambda row: "one" if row.nodes == 1 else "several")]
        lines += ["", *_table("", rows, lambda row: "all")]
        medians = self.medians()
        goals = [
            f"{name}: median {medians[name]:.1%} (goal {goal:.0%})" for name, goal in GOALS if name in medians
        ]
        return [*lines, "", *goals, *_refused(self)]


def _understood(rows: Sequence[CollectiveRow]) -> Iterator[str]:
    """One line per hardware: the tables, what was understood, what was assumed."""
    tables: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in rows:
        known = tables.setdefault((row.hardware, row.assumed), [])
        if row.table not in known:
            known.append(row.table)
    for (hardware, assumed), names in tables.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        yield f"  {hardware}: {shown}" + "".join(f"\n    assumed: {what}" for what in assumed)


def _table(
    title: str, rows: Sequence[CollectiveRow], group_of: Callable[[CollectiveRow], str]
) -> Iterator[str]:
    groups = list(dict.fromkeys(map(group_of, rows)))
    width = max(len(title), *map(len, groups))
    yield f"{title:<{width}} {'rows':>5}" + "".join(f"{name:>{_CELL}}" for name, _ in RANGES)
    for group in groups:
        members = [row for row in rows if group_of(row) == group]
        yield f"{group:<{width}} {len(members):>5}" + "".join(_cells(members))


def _cells(rows: Sequence[CollectiveRow]) -> Iterator[str]:
    for index in range(len(RANGES)):
        errors = np.array([row.error for row in rows if range_of(row.x or 0.0) == index], dtype=float)
        if not len(errors):
            yield f"{'-':>{_CELL}}"
            continue
        sizes = 100 * np.abs(errors)
        numbers = f"{np.median(sizes):.1f} {np.percentile(sizes, 90):.1f} {100 * np.median(errors):+.1f}"
        yield f"{numbers:>{_CELL}}"


def _refused(report: ValidationReport) -> list[str]:
    """Rows that are not modelled, by reason."""
    tables: dict[str, dict[str, int]] = {}
    for row in report.rows:
        if row.error is None:
            counts = tables.setdefault(row.reason, {})
            table = row.id.rpartition(":")[0]
            counts[table] = counts.get(table, 0) + 1
    lines = [
        f"  {reason}: " + ", ".join(f"{table} ({count})" for table, count in counts.items())
        for reason, counts in tables.items()
    ]
    return ["", "not modelled (rows)", *lines] if lines else []
