"""What fills the memory of the GPUs of each stage, or of each rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim import catalog
from clustersim.errors import ClusterSimError, InputError
from clustersim.report.numbers import size
from clustersim.report.style import (
    BLUE,
    CYAN,
    GREEN,
    GREY,
    INK,
    PURPLE,
    RED,
    YELLOW,
    Picture,
    house_style,
    legend_outside,
    new_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.workloads.base import Outcome

__all__ = ["memory"]

_COLORS = {
    "weights": BLUE,
    "master_weights": CYAN,
    "gradients": GREEN,
    "optimizer_states": YELLOW,
    "tables": BLUE,
    "table_states": CYAN,
    "table_cache": PURPLE,
    "dense": GREEN,
    "activations": RED,
    "collective_buffers": PURPLE,
    "framework": GREY,
    "exchanges": YELLOW,
    "samples": GREY,
}
"""From the bottom of a bar to its top."""
_GIB = 2.0**30
_WIDEST = 14.0


@house_style
def memory(result: Result, name: str) -> Picture:
    """Draw a stacked bar for a GPU of each stage, or for each rank, and what the GPU has."""
    outcome = result.outcome(name)
    table = outcome.tables.get("memory")
    if table is None or not len(table["bytes"]):
        raise InputError(f"'{name}' has no table of memory to draw")
    column, words = ("rank", "rank") if "rank" in table else ("stage", "pipeline stage")
    stages = int(table[column].max()) + 1
    picture, axes = new_picture(min(5.4 + 0.42 * stages, _WIDEST), 4.2)
    tops = _stack(axes, table[column], table["use"], table["bytes"] / _GIB, stages)
    fullest = int(np.argmax(tops))
    where = f"a GPU of the fullest {column}" if stages > 1 else "every GPU"
    axes.set_title(f"{name}: {size(tops[fullest] * _GIB)} on {where}")
    axes.set_ylabel("memory of a GPU (GiB)")
    axes.set_xlabel(words if stages > 1 else "")
    step = -(-stages // 24)
    axes.set_xticks(range(0, stages, step), [str(stage) for stage in range(0, stages, step)])
    if stages == 1:
        axes.set_xticks([0], ["every GPU"])
        axes.set_xlim(-1.0, 1.0)
    axes.grid(visible=False, axis="x")
    _capacity(axes, outcome, result.scenario.cluster.speeds.memory_capacity)
    handles, labels = axes.get_legend_handles_labels()
    legend_outside(axes, handles=handles[::-1], labels=labels[::-1])
    return picture


def _stack(axes: Axes, stage: np.ndarray, use: np.ndarray, gib: np.ndarray, stages: int) -> np.ndarray:
    """Draw the uses on top of each other; return the heights of the bars."""
    tops = np.zeros(stages)
    for kind in (*_COLORS, *sorted(set(use.tolist()) - set(_COLORS))):
        own = use == kind
        values = np.bincount(stage[own], weights=gib[own], minlength=stages)
        if values.any():
            color = _COLORS.get(kind, INK)
            label = f"{kind.replace('_', ' ')}, {size(float(values.max()) * _GIB)}"
            axes.bar(range(stages), values, 0.8, tops, color=color, label=label)
            tops += values
    return tops


def _capacity(axes: Axes, outcome: Outcome, factor: float) -> None:
    """Draw what the GPU has as a line, where the catalogue knows it."""
    try:
        capacity_gib = factor * catalog.accelerator(str(outcome.facts["accelerator"])).memory_bytes / _GIB
    except (KeyError, ClusterSimError):
        return
    axes.axhline(capacity_gib, color=INK, lw=1.2, ls="--")
    label = f"{outcome.facts['accelerator']}: {size(capacity_gib * _GIB)}"
    axes.annotate(
        label,
        (0.0, capacity_gib),
        (4.0, 3.0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=8.5,
    )
    axes.set_ylim(0.0, capacity_gib * 1.1)
