"""What `validate ranking` prints: errors of training by framework and GPU, of services, refused rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.study.validation.framework import Row, ValidationReport, refused_lines
from clustersim.study.validation.ranking.result import RankingResult

__all__ = ["COLUMNS", "GOALS", "RankingReport"]

GOALS: Mapping[str, float] = {"training step": 0.15, "serving throughput": 0.20, "serving latency p99": 0.20}
"""Mean absolute errors that are aimed at."""

COLUMNS = (
    "id", "group", "table", "system", "gpu", "gpus", "framework", "model", "batch", "precision",
    "accelerator", "held_out", "unit", "measured", "basis", "predicted", "error", "memory_gib", "parts",
    "reason", "note", "assumed",
)  # fmt: skip
"""Columns of the rows as JSON or CSV; those of training are empty in rows of serving."""


@dataclass(frozen=True)
class RankingReport(ValidationReport):
    """Errors of step times, and of throughput and latencies of services."""

    def text(self) -> str:
        """Return every row under its group, then what all amount to."""
        lines = [self.title]
        for group in dict.fromkeys(map(_group, self.modelled)):
            members = [row for row in self.modelled if _group(row) == group]
            width = max(len(row.id) for row in members)
            lines += ["", f"{group} ({members[0].unit})"]
            lines += [_line(row, width) for row in members]
        return "\n".join([*lines, "", *self.summary_lines()])

    @property
    def training(self) -> tuple[RankingResult, ...]:
        """Rows of training that have a prediction."""
        return tuple(row for row in self.modelled if isinstance(row, RankingResult))

    @property
    def serving(self) -> tuple[Row, ...]:
        """Rows of serving that have a prediction."""
        return tuple(row for row in self.modelled if not isinstance(row, RankingResult))

    def summary_lines(self) -> list[str]:
        """Errors of training by framework and GPU, of serving by table, beside the goals; refused rows."""
        own = [row for row in self.training if not row.held_out]
        others = [row for row in self.training if row.held_out]
        lines = ["error of predictions (mean, median and worst of its size, and mean with sign)"]
        lines += _section("training: framework and GPU", own, _kind)
        lines += _section("other systems, held out: framework and GPU", others, _kind)
        lines += _section("serving: table and figure", self.serving, lambda row: row.group)
        lines += ["", *self._goals(own), *_shares([*own, *others])]
        return [*lines, *refused_lines(self.rows), *self.left_lines()]

    def records(self) -> list[dict[str, Any]]:
        """Return `COLUMNS` of every row."""
        return [_record(row) for row in self.rows]

    def _goals(self, own: Sequence[Row]) -> Iterator[str]:
        rows = {
            "training step": list(own),
            "serving throughput": [row for row in self.serving if row.unit != "s"],
            "serving latency p99": [row for row in self.serving if row.group.endswith("p99")],
        }
        for name, goal in GOALS.items():
            errors = np.array([abs(row.error or 0.0) for row in rows[name]])
            if len(errors):
                within = f"{np.mean(errors <= goal):.0%} of {len(errors)} rows within it"
                yield f"{name}: mean {errors.mean():.1%} (goal {goal:.0%}; {within})"


def _group(row: Row) -> str:
    if not isinstance(row, RankingResult):
        return row.group
    return f"{'other systems, held out: ' if row.held_out else ''}{row.kind}"


def _kind(row: Row) -> str:
    return row.kind if isinstance(row, RankingResult) else row.group


def _line(row: Row, width: int) -> str:
    numbers = f"measured {row.measured:>10,.5g}  predicted {row.predicted:>10,.5g}  {row.error:+8.1%}"
    if not isinstance(row, RankingResult):
        return f"  {row.id:<{width}}  {numbers}  {row.note}".rstrip()
    job = f"{row.gpus:>4} GPUs  batch {row.batch:>9,}  {row.precision:<5}"
    return f"  {row.id:<{width}}  {job}  {numbers}  {row.model}"


def _section(title: str, rows: Sequence[Row], group_of: Callable[[Row], str]) -> list[str]:
    """Errors by group, and of all where there are several; nothing where there are no rows."""
    if not rows:
        return []
    groups = sorted(dict.fromkeys(map(group_of, rows)))
    width = max(len(title), *map(len, groups))
    lines = ["", f"{title:<{width}} {'rows':>5} {'mean':>7} {'median':>7} {'worst':>7} {'sign':>7}"]
    lines += [_errors(group, [row for row in rows if group_of(row) == group], width) for group in groups]
    return [*lines, _errors("all", rows, width)] if len(groups) > 1 else lines


def _errors(name: str, rows: Sequence[Row], width: int) -> str:
    errors = np.array([row.error for row in rows], dtype=float)
    sizes = np.abs(errors)
    return (
        f"{name:<{width}} {len(errors):>5} {sizes.mean():>7.1%} {np.median(sizes):>7.1%} "
        f"{sizes.max():>7.1%} {errors.mean():>+7.1%}"
    )


def _shares(rows: Sequence[RankingResult]) -> list[str]:
    """Shares of the step by resource, by framework and GPU; links of one kind together."""
    shared = [row for row in rows if row.parts]
    if not shared:
        return []
    kinds = sorted(dict.fromkeys(row.kind for row in shared))
    names = sorted({_resource(name) for row in shared for name in row.parts})
    width = max(len("framework and GPU"), *map(len, kinds))
    lines = ["", "where the predicted step goes (mean share in %)"]
    lines += [f"{'framework and GPU':<{width}} " + "".join(f"{name:>19}" for name in names)]
    for kind in kinds:
        members = [row for row in shared if row.kind == kind]
        means = [100.0 * sum(_share(row, name) for row in members) / len(members) for name in names]
        lines.append(f"{kind:<{width}} " + "".join(f"{mean:>19.1f}" for mean in means))
    return lines


def _resource(name: str) -> str:
    return name.partition(":")[0]


def _share(row: RankingResult, resource: str) -> float:
    return sum(value for name, value in row.parts.items() if _resource(name) == resource)


def _record(row: Row) -> dict[str, Any]:
    record = {name: getattr(row, name, "") for name in COLUMNS}
    if isinstance(row, RankingResult):
        record["parts"] = " ".join(f"{name}={share:.4f}" for name, share in row.parts.items())
        record["assumed"] = "; ".join(row.assumed)
    return record
