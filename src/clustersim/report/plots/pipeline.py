"""Which stage of a pipeline computes what, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import duration, percent, time_scale
from clustersim.report.style import (
    BLUE,
    DARK_BLUE,
    GREEN,
    INK,
    LIGHT_BLUE,
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
    "forward": (BLUE, DARK_BLUE),
    "backward": (YELLOW, "#9B8F1F"),
    "weight": (GREEN, "#17581F"),
    "optimizer": (PURPLE, PURPLE),
}
"""Of a kind of pass: for even chunks and for odd ones."""
_WORDS = {
    "forward": "forward",
    "backward": "backward",
    "weight": "gradients of weights",
    "optimizer": "optimizer",
}
_LIGHT = (LIGHT_BLUE, YELLOW)
_BAR = 0.8
_WIDTH, _ROW, _AROUND, _TALLEST = 10.0, 0.36, 1.7, 14.0
"""Of the picture in inches: width, height of a stage, of what is around, and the largest height."""
_LETTERS_PER_WIDTH = 150
"""Digits of micro-batch numbers that the width of the axes holds: decides whether a bar is numbered."""


@house_style
def pipeline(result: Result, name: str, *, replica: int = 0) -> Picture:
    """Draw the passes of each stage in the last iteration that was simulated, numbered by micro-batch.

    White is what no kernels hide: the bubble, and communication. A darker shade is an odd chunk.
    """
    outcome = result.outcome(name)
    table = _passes(outcome, replica)
    stages = int(table["stage"].max()) + 1
    picture, axes = new_picture(_WIDTH, min(_AROUND + _ROW * stages, _TALLEST))
    since_s, until_s = float(table["start_s"].min()), float(table["end_s"].max())
    factor, unit = time_scale(until_s - since_s)
    _draw(axes, table, since_s=since_s, factor=factor, whole_s=until_s - since_s)
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


def _draw(axes: Axes, table: Table, *, since_s: float, factor: float, whole_s: float) -> None:
    """Draw all bars of a colour as one collection: there may be thousands."""
    named: set[str] = set()
    for kind, odd, rows in _groups(table):
        color = _COLORS.get(kind, (INK, INK))[odd]
        starts = (table["start_s"][rows] - since_s) * factor
        widths = (table["end_s"] - table["start_s"])[rows] * factor
        label = _WORDS.get(kind, kind) if kind not in named else "_nolegend_"
        for stage in np.unique(table["stage"][rows]):
            own = table["stage"][rows] == stage
            spans = list(zip(starts[own].tolist(), widths[own].tolist(), strict=True))
            bottom = float(stage) - _BAR / 2
            axes.broken_barh(spans, (bottom, _BAR), color=color, ec="white", lw=0.4, label=label)
            label = "_nolegend_"
        named.add(kind)
        ink = INK if color in _LIGHT else "white"
        _number(axes, table, rows, starts + widths / 2, widths / factor / whole_s, ink)


def _groups(table: Table) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield kind, shade and rows, in the order of the legend."""
    odd = table["chunk"] % 2
    for kind in (*_COLORS, *sorted(set(table["kind"].tolist()) - set(_COLORS))):
        for shade in (0, 1):
            rows = np.flatnonzero((table["kind"] == kind) & (odd == shade))
            if len(rows):
                yield kind, shade, rows


def _number(
    axes: Axes, table: Table, rows: np.ndarray, middles: np.ndarray, parts: np.ndarray, ink: str
) -> None:
    for row, middle, part in zip(rows.tolist(), middles.tolist(), parts.tolist(), strict=True):
        text = str(table["micro_batch"][row] + 1)
        if table["micro_batch"][row] >= 0 and part * _LETTERS_PER_WIDTH > len(text) + 0.6:
            stage = float(table["stage"][row])
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
