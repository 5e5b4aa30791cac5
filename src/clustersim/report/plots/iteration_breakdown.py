"""Where the time of each iteration goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from clustersim.errors import InputError
from clustersim.report.numbers import duration, percent, time_scale
from clustersim.report.style import (
    BLUE,
    CYAN,
    GREEN,
    GREY,
    PURPLE,
    RED,
    YELLOW,
    Picture,
    house_style,
    legend_outside,
    new_picture,
)
from clustersim.report.words import BREAKDOWN, EXPOSED, RANKING_BREAKDOWN

if TYPE_CHECKING:
    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["PART_COLORS", "iteration_breakdown"]

PART_COLORS = {
    "compute_s": BLUE,
    "bubble_s": CYAN,
    "exposed_tensor_s": RED,
    "exposed_context_s": PURPLE,
    "exposed_expert_s": "#EE8866",
    "exposed_pipeline_s": GREEN,
    "exposed_data_s": "#882E44",
    "exposed_offload_s": "#777711",
    "host_s": YELLOW,
    "data_stall_s": "#225566",
    "waiting_s": GREY,
    "exposed_communication_s": RED,
    "idle_s": GREY,
    "dense_s": BLUE,
    "embedding_s": CYAN,
    "optimizer_s": GREEN,
    "exposed_index_s": "#EE8866",
    "exposed_forward_s": RED,
    "exposed_backward_s": PURPLE,
    "exposed_all_reduce_s": "#882E44",
    "exposed_host_rows_s": "#777711",
    "input_stall_s": "#225566",
}
"""Of the parts of an iteration, in every picture that shows them."""
_PARTS = tuple(
    part
    for whole in BREAKDOWN
    for part in (
        [(name, f"exposed: {words}") for name, words in EXPOSED]
        if whole[0] == "exposed_communication_s"
        else [whole]
    )
)
_PARTS_OF_A_TRACE = (
    ("compute_s", "compute"),
    ("exposed_communication_s", "exposed communication"),
    ("host_s", "host"),
    ("idle_s", "idle"),
)
"""Of replayed execution traces, which do not say what their communication is for."""

_MOST_BARS = 80
_BARS_WITH_GAPS = 40


@house_style
def iteration_breakdown(result: Result, name: str) -> Picture:
    """Draw a stacked bar per iteration; with more than 80, per group of equal numbers of them."""
    outcome = result.outcome(name)
    table = outcome.tables.get("iterations")
    if table is None or not len(table["start_s"]):
        raise InputError(f"'{name}' has no finished iterations to draw")
    picture, axes = new_picture(8.6, 4.0)
    first, parts, per_bar = _grouped(table)
    factor, unit = time_scale(float(np.sum(list(parts.values()), axis=0).max()))
    total = sum(float(values.sum()) for values in parts.values())
    bottom = np.zeros(len(first))
    # Many bars touch: gaps of less than a pixel would make a pattern of their own.
    width = per_bar * (0.85 if len(first) <= _BARS_WITH_GAPS else 1.0)
    for column, words in _parts_of(table):
        share = float(parts[column].sum()) / total
        if share:
            values, color = parts[column] * factor, PART_COLORS[column]
            label = f"{words}, {percent(share)}"
            axes.bar(first, values, width, bottom, color=color, edgecolor=color, lw=0.2, label=label)
            bottom += values
    mean_s = outcome.metrics["iteration_s.mean"]
    axes.set_title(f"{name}: an iteration takes {duration(mean_s)} on average")
    axes.set(
        xlabel="iteration" if per_bar == 1 else f"iteration (means of {per_bar})", ylabel=f"time ({unit})"
    )
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    handles, labels = axes.get_legend_handles_labels()
    legend_outside(axes, handles=handles[::-1], labels=labels[::-1])
    return picture


def _grouped(table: Table) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Mean parts of groups of iterations, so that there are at most `_MOST_BARS` bars."""
    rows = len(table["start_s"])
    per_bar = -(-rows // _MOST_BARS)
    starts = np.arange(0, rows, per_bar)
    sizes = np.diff(np.append(starts, rows))
    parts = {column: np.add.reduceat(table[column], starts) / sizes for column, _ in _parts_of(table)}
    return starts + (sizes - 1) / 2, parts, per_bar


def _parts_of(table: Table) -> Sequence[tuple[str, str]]:
    if "embedding_s" in table:
        return RANKING_BREAKDOWN
    return _PARTS_OF_A_TRACE if "idle_s" in table else _PARTS
