"""Which stage of a pipeline computes what, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from clustersim.errors import InputError
from clustersim.report.numbers import duration, percent, time_scale
from clustersim.report.style import (
    BLUE,
    GREEN,
    INK,
    PURPLE,
    YELLOW,
    Picture,
    house_style,
    legend_below,
    new_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.workloads.base import Outcome, Table

__all__ = ["pipeline"]

_COLORS = {
    "forward": (BLUE, "#1F3550"),
    "backward": (YELLOW, "#8C8222"),
    "weight": (GREEN, "#0F3D17"),
    "optimizer": (PURPLE, PURPLE),
}
"""Of a kind of pass: for the first chunk and for the last."""
_WORDS = {
    "forward": "forward",
    "backward": "backward",
    "weight": "gradients of weights",
    "optimizer": "optimizer",
}
_BAR = 0.8
_NARROWEST, _WIDEST, _PASS = 10.0, 18.0, 0.05
"""Width of the picture in inches: at least, at most, and for each pass of a stage."""
_ROW, _AROUND, _TALLEST = 0.36, 1.7, 14.0
"""Height of a stage in inches, of what is around, and of the picture at most."""
_LETTERS_PER_INCH = 15
"""Digits of micro-batch numbers: decides whether a bar is numbered."""
_JOINED = 0.002
"""Of the iteration: pieces of one pass with smaller gaps are drawn as one bar."""
_EDGED = 0.003
"""Of the iteration: narrower bars have no edge, which would hide them."""


@house_style
def pipeline(result: Result, name: str, *, replica: int = 0) -> Picture:
    """Draw the passes of each stage in the last iteration that was simulated, numbered by micro-batch.

    White is what no kernels hide: the bubble, and communication. Later chunks of layers are darker.
    """
    outcome = result.outcome(name)
    table = _joined(_passes(outcome, replica))
    stages = int(table["stage"].max()) + 1
    width = min(max(_PASS * len(table["stage"]) / stages, _NARROWEST), _WIDEST)
    picture, axes = new_picture(width, min(_AROUND + _ROW * stages, _TALLEST))
    since_s, until_s = float(table["start_s"].min()), float(table["end_s"].max())
    factor, unit = time_scale(until_s - since_s)
    _draw(
        axes,
        table,
        since_s=since_s,
        factor=factor,
        per_letter_s=(until_s - since_s) / width / _LETTERS_PER_INCH,
    )
    axes.set_xlim(0.0, (until_s - since_s) * factor)
    axes.set_ylim(stages - 0.4, -0.6)
    axes.set_xlabel(f"time since the start of the iteration ({unit})")
    axes.set_ylabel("stage")
    axes.set_yticks(range(stages))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_title(_title(outcome, name, until_s - since_s))
    _bubbles(axes, outcome, stages)
    legend_below(axes)
    return picture


def _passes(outcome: Outcome, replica: int) -> Table:
    table = outcome.tables.get("passes")
    if table is None or not len(table["start_s"]):
        raise InputError(f"'{outcome.name}' has no passes to draw")
    chosen = table["replica"] == replica
    if not chosen.any():
        known = ", ".join(str(number) for number in sorted(set(table["replica"].tolist()))[:8])
        raise InputError(f"'{outcome.name}' has no replica {replica}; simulated were {known}")
    return {column: values[chosen] for column, values in table.items()}


def _joined(table: Table) -> Table:
    """Join the pieces of a pass, which buckets of gradients and gathered parameters cut."""
    order = np.lexsort(
        (table["start_s"], table["chunk"], table["micro_batch"], table["kind"], table["stage"])
    )
    rows = {column: values[order] for column, values in table.items()}
    gap_s = rows["start_s"][1:] - rows["end_s"][:-1]
    whole_s = table["end_s"].max() - table["start_s"].min()
    same = np.all(
        [rows[name][1:] == rows[name][:-1] for name in ("stage", "kind", "micro_batch", "chunk")], axis=0
    )
    first = np.flatnonzero(np.append(True, ~(same & (gap_s < _JOINED * whole_s))))
    last = np.append(first[1:], len(order)) - 1
    return {column: values[last if column == "end_s" else first] for column, values in rows.items()}


def _draw(axes: Axes, table: Table, *, since_s: float, factor: float, per_letter_s: float) -> None:
    """Draw all bars of a colour as one collection per stage: there may be thousands."""
    chunks = int(table["chunk"].max()) + 1
    whole_s = float(table["end_s"].max()) - since_s
    named: set[str] = set()
    for kind, chunk, rows in _groups(table):
        color = _shade(kind, max(chunk, 0) / max(chunks - 1, 1))
        for stage in np.unique(table["stage"][rows]):
            own = rows[table["stage"][rows] == stage]
            starts_s, lengths_s = table["start_s"][own], (table["end_s"] - table["start_s"])[own]
            spans = np.column_stack(((starts_s - since_s) * factor, lengths_s * factor))
            edges = np.where(lengths_s > _EDGED * whole_s, 0.5, 0.0)
            label = "_nolegend_" if kind in named else _WORDS.get(kind, kind)
            axes.broken_barh(
                [(float(left), float(width)) for left, width in spans],
                (float(stage) - _BAR / 2, _BAR),
                facecolor=color,
                edgecolor="white",
                linewidth=edges.tolist(),
                label=label,
            )
            named.add(kind)
        wide = rows[_letters(table, rows) * per_letter_s < (table["end_s"] - table["start_s"])[rows]]
        _number(axes, table, wide, since_s=since_s, factor=factor, ink=INK if kind == "backward" else "white")


def _shade(kind: str, depth: float) -> tuple[float, ...]:
    """Blend the colours of the first and the last chunk."""
    first, last = (np.array(to_rgb(color)) for color in _COLORS.get(kind, (INK, INK)))
    return tuple((first + 0.8 * depth * (last - first)).tolist())


def _groups(table: Table) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield kind, chunk and rows, in the order of the legend."""
    for kind in (*_COLORS, *sorted(set(table["kind"].tolist()) - set(_COLORS))):
        of_kind = np.flatnonzero(table["kind"] == kind)
        for chunk in np.unique(table["chunk"][of_kind]).tolist():
            yield kind, chunk, of_kind[table["chunk"][of_kind] == chunk]


def _letters(table: Table, rows: np.ndarray) -> np.ndarray:
    return np.array([len(str(number + 1)) + 0.6 for number in table["micro_batch"][rows].tolist()])


def _number(axes: Axes, table: Table, rows: np.ndarray, *, since_s: float, factor: float, ink: str) -> None:
    middles = ((table["start_s"] + table["end_s"])[rows] / 2 - since_s) * factor
    for row, middle in zip(rows.tolist(), middles.tolist(), strict=True):
        if table["micro_batch"][row] >= 0:
            text, stage = str(table["micro_batch"][row] + 1), float(table["stage"][row])
            axes.text(middle, stage, text, ha="center", va="center", fontsize=7, color=ink)


def _title(outcome: Outcome, name: str, whole_s: float) -> str:
    schedule = str(outcome.facts.get("schedule", ""))
    batches = (
        f"{outcome.facts['micro_batches']:.0f} micro-batches" if "micro_batches" in outcome.facts else ""
    )
    how = ", ".join(part for part in (schedule, batches) if part and part != "none")
    return f"{name}: one iteration, {duration(whole_s)}" + (f" ({how})" if how else "")


def _bubbles(axes: Axes, outcome: Outcome, stages: int) -> None:
    """Write the share of each stage's bubble at its right end."""
    table = outcome.tables.get("stages")
    mean_s = outcome.metrics.get("iteration_s.mean")
    if table is None or not mean_s or len(table["bubble_s"]) != stages or not table["bubble_s"].any():
        return
    right = axes.secondary_yaxis("right")
    labels = [f"{percent(value / mean_s)} bubble" for value in table["bubble_s"].tolist()]
    right.set_yticks(range(stages), labels, fontsize=8)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
