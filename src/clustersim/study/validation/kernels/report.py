"""What `validate kernels` prints: errors by device, table, precision and class of shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.study.validation.framework import Row, ValidationReport
from clustersim.study.validation.kernels.rows import KernelRow

__all__ = ["KernelsReport"]

_NOISE = (
    "Two public tables of one GPU and shape differ by 2.7 to 5.5 % in the median and 8 to 23 % at the\n"
    "90th percentile: errors below that carry no information."
)


@dataclass(frozen=True)
class KernelsReport(ValidationReport):
    """Errors of kernel times; the rows themselves by `to_json`."""

    def text(self) -> str:
        """Return errors by class of kernel, by table and by device, and the refused rows."""
        return "\n".join([self.title, *self.summary_lines()])

    def summary_lines(self) -> list[str]:
        """Rows, median, 90th percentile, worst and bias by group; then what was left out, and why."""
        rows = [row for row in self.modelled if isinstance(row, KernelRow)]
        lines = ["", _NOISE]
        for title, group_of in _GROUPS:
            lines += ["", *_table(title, rows, group_of)]
        return [*lines, *_left_out(self.rows)]


def _table(title: str, rows: Sequence[KernelRow], group_of: Callable[[KernelRow], str]) -> Iterator[str]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row.error or 0.0)
    width = max([len(title), *map(len, groups)])
    yield f"{title:<{width}} {'rows':>7} {'median':>8} {'p90':>8} {'worst':>8} {'bias':>8}"
    for group, members in sorted(groups.items()):
        errors = np.array(members)
        sizes = np.abs(errors)
        yield (
            f"{group:<{width}} {len(errors):>7} {np.median(sizes):>8.1%} {np.quantile(sizes, 0.9):>8.1%} "
            f"{sizes.max():>8.1%} {np.median(errors):>+8.1%}"
        )


def _left_out(rows: Sequence[Row]) -> list[str]:
    """Rows that are not modelled, by table and reason."""
    reasons = Counter((row.group, row.reason) for row in rows if row.error is None)
    if not reasons:
        return []
    lines = [f"  {group}: {count} rows, {reason}" for (group, reason), count in sorted(reasons.items())]
    return ["", "not modelled", *lines]


_GROUPS: tuple[tuple[str, Callable[[KernelRow], str]], ...] = (
    (
        "device, table, precision, kernel",
        lambda row: ", ".join((row.device, row.table, row.precision, row.kernel)),
    ),
    ("device", lambda row: row.device),
    ("all", lambda row: "kernels"),
)
