"""What `validate training` prints: errors by table and kind of model, memory decisions, refused rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.study.validation.framework import ValidationReport, refused_lines
from clustersim.study.validation.training.result import PARTS, TrainingResult

__all__ = ["COLUMNS", "GOALS", "TrainingReport"]

GOALS = (("dense, A100 and H100", 0.07, 0.15), ("mixture of experts", 0.15, None))
"""Mean and worst absolute error that are aimed at."""

_GIB = 2.0**30
COLUMNS = (
    "id", "table", "system", "gpu", "gpus", "framework", "model", "experts", "held_out", "layout",
    "measured_s", "basis", "predicted_s", "error", "fits", "memory_gib", "capacity_gib", "observed_gib",
    *PARTS, "tried", "reason", "assumed",
)  # fmt: skip
"""Columns of the rows as JSON or CSV."""


@dataclass(frozen=True)
class TrainingReport(ValidationReport):
    """Errors of iteration times, by table and over all."""

    def text(self) -> str:
        """Return every row under its table, then what all amount to."""
        lines = [self.title]
        for table in dict.fromkeys(row.table for row in self.results):
            members = [row for row in self.results if row.table == table and row.error is not None]
            lines += ["", table, *_lines(members)] if members else []
        return "\n".join([*lines, "", *self.summary_lines()])

    @property
    def results(self) -> tuple[TrainingResult, ...]:
        """All rows."""
        return tuple(row for row in self.rows if isinstance(row, TrainingResult))

    @property
    def timed(self) -> tuple[TrainingResult, ...]:
        """Rows that have a measurement and a prediction."""
        return tuple(row for row in self.results if row.error is not None)

    def summary_lines(self) -> list[str]:
        """Errors by table and kind, where the time goes, memory decisions and refused rows."""
        lines: list[str] = []
        own, others = self._timed(held_out=False), self._timed(held_out=True)
        if own:
            lines += ["error of the iteration time (mean and worst of its size, and mean with sign)"]
            lines += _errors("table and GPU", own, _system)
            lines += ["", *_errors("models and GPU", own, _kind)]
            lines += ["", *_errors("", own, lambda row: "all"), "", *self._goals(), ""]
        if others:
            lines += ["other systems, held out: no constant was chosen by them, nor changed after looking"]
            lines += _errors("table and GPU", others, _system)
            lines += ["", *_errors("models and GPU", others, _kind)]
            lines += ["", *_errors("", others, lambda row: "all other systems"), ""]
        if self.timed:
            lines += ["where the predicted time goes (mean share in %)", *_shares(self.timed)]
        return [*lines, *_memory(self.results), *refused_lines(self.results), *self.left_lines()]

    def _timed(self, *, held_out: bool) -> list[TrainingResult]:
        return [row for row in self.timed if row.held_out == held_out]

    def goal_rows(self) -> dict[str, list[TrainingResult]]:
        """Return the rows that each goal is about."""
        timed = self._timed(held_out=False)
        dense = [row for row in timed if not row.experts and row.generation in ("A100", "H100")]
        experts = [row for row in timed if row.experts]
        return dict(zip((name for name, *_ in GOALS), (dense, experts), strict=True))

    def records(self) -> list[dict[str, Any]]:
        """Return `COLUMNS` of every row."""
        return [_record(row) for row in self.results]

    def _goals(self) -> Iterator[str]:
        rows = self.goal_rows()
        for name, mean, worst in GOALS:
            errors = np.array([abs(row.error or 0.0) for row in rows[name]])
            if len(errors):
                aim = f"goal {mean:.0%}" + (f", worst {worst:.0%}" if worst else "")
                within = f", {np.mean(errors <= worst):.0%} of rows within {worst:.0%}" if worst else ""
                yield f"{name}: mean {errors.mean():.1%}, worst {errors.max():.1%} ({aim}){within}"


def _system(row: TrainingResult) -> str:
    return f"{row.table}, {row.generation}"


def _kind(row: TrainingResult) -> str:
    return f"{'mixture of experts' if row.experts else 'dense'}, {row.generation}"


def _lines(rows: Sequence[TrainingResult]) -> Iterator[str]:
    width = max(len(row.id) for row in rows)
    names = max(len(row.model) for row in rows)
    for row in rows:
        times = f"{row.measured:>9.4g} s  {row.predicted:>9.4g} s  {row.error:+7.1%}"
        misfit = "" if row.fits else "  (does not fit)"
        yield f"  {row.id:<{width}}  {row.model:<{names}}  {row.gpus:>5} GPUs  {times}  {row.layout}{misfit}"


def _errors(
    title: str, rows: Sequence[TrainingResult], group_of: Callable[[TrainingResult], str]
) -> Iterator[str]:
    groups = sorted(dict.fromkeys(map(group_of, rows)))
    width = max(len(title), *map(len, groups))
    yield f"{title:<{width}} {'rows':>5} {'mean':>7} {'median':>7} {'worst':>7} {'sign':>7}"
    for group in groups:
        errors = np.array([row.error for row in rows if group_of(row) == group], dtype=float)
        sizes = np.abs(errors)
        yield (
            f"{group:<{width}} {len(errors):>5} {sizes.mean():>7.1%} {np.median(sizes):>7.1%} "
            f"{sizes.max():>7.1%} {errors.mean():>+7.1%}"
        )


def _shares(rows: Sequence[TrainingResult]) -> Iterator[str]:
    """Parts of the iteration by table; those that no row has are left out."""
    groups = sorted(dict.fromkeys(map(_system, rows)))
    parts = [part for part in PARTS if any(row.parts.get(part) for row in rows)]
    names = [part.removeprefix("exposed_").removesuffix("_s") for part in parts]
    width = max(len("table and GPU"), *map(len, groups))
    yield f"{'table and GPU':<{width}} " + "".join(f"{name:>10}" for name in names)
    for group in groups:
        shares = [
            [row.parts.get(part, 0.0) / (row.predicted or 1.0) for part in parts]
            for row in rows
            if _system(row) == group
        ]
        yield f"{group:<{width}} " + "".join(f"{100 * share:>10.1f}" for share in np.mean(shares, axis=0))


def _memory(rows: Sequence[TrainingResult]) -> list[str]:
    """Say which runs the memory model gets wrong."""
    ran = [row for row in rows if row.memory_bytes and not row.ran_out_of_memory]
    failed = [row for row in rows if row.memory_bytes and row.ran_out_of_memory]
    wrong = [row for row in ran if not row.fits] + [row for row in failed if row.fits]
    if not ran and not failed:
        return []
    lines = ["", f"memory: {sum(row.fits for row in ran)} of {len(ran)} runs fit"]
    if failed:
        refused = sum(not row.fits for row in failed)
        lines[-1] += f", {refused} of {len(failed)} that ran out of memory do not"
    for row in wrong:
        needs = f"{row.memory_bytes / _GIB:.0f} of {row.capacity_bytes / _GIB:.0f} GiB"
        observed = row.observed_memory_bytes
        seen = f", observed {observed / _GIB:.0f}" if observed else ""
        lines.append(f"  {row.id} ({row.model}, {row.layout}): {needs}{seen}")
    return lines


def _record(row: TrainingResult) -> dict[str, Any]:
    observed = row.observed_memory_bytes
    return {
        **{name: getattr(row, name) for name in COLUMNS[: COLUMNS.index("measured_s")]},
        "measured_s": row.measured,
        "basis": "out of memory" if row.ran_out_of_memory else row.basis,
        "predicted_s": row.predicted,
        "error": row.error,
        "fits": row.fits if row.memory_bytes else None,
        "memory_gib": row.memory_bytes / _GIB if row.memory_bytes else None,
        "capacity_gib": row.capacity_bytes / _GIB if row.memory_bytes else None,
        "observed_gib": None if observed is None else observed / _GIB,
        **{name: row.parts.get(name) for name in PARTS},
        "tried": row.tried,
        "reason": row.reason,
        "assumed": "; ".join(row.assumed),
    }
