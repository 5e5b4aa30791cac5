"""Picture of predicted against measured iteration times: a colour per system, hollow where held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.study.validation.training.result import TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_training"]

_COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#CCBB44", "#EE7733", "#777777")
_MARKS = {False: "o", True: "^"}
_BAND = 0.15


def _look(colour: str, *, hollow: bool) -> dict[str, Any]:
    if hollow:
        return {"facecolors": "none", "edgecolors": colour, "linewidths": 1.1}
    return {"facecolors": colour, "edgecolors": "white", "linewidths": 0.4}


def plot_training(rows: Sequence[TrainingResult]) -> Figure:
    """Draw predicted over measured seconds, both logarithmic, with a band of ±15 %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 6.5), layout="constrained")
    axes = figure.add_subplot(box_aspect=1)
    times = np.array([(row.measured, row.predicted) for row in rows], dtype=float)
    ends = np.array([times.min() / 1.5, times.max() * 1.5])
    axes.fill_between(ends, ends * (1 - _BAND), ends * (1 + _BAND), color="0.5", alpha=0.2, lw=0)
    axes.plot(ends, ends, color="0.3", lw=1)
    groups = list(dict.fromkeys((row.ran_on, row.experts) for row in rows))
    systems = list(dict.fromkeys(system for system, _ in groups))
    for system, experts in groups:
        members = [row for row in rows if (row.ran_on, row.experts) == (system, experts)]
        measured, predicted = np.array([(row.measured, row.predicted) for row in members], dtype=float).T
        axes.scatter(
            measured,
            predicted,
            s=26,
            marker=_MARKS[experts],
            alpha=0.8,
            **_look(_COLOURS[systems.index(system) % len(_COLOURS)], hollow=members[0].held_out),
            label=f"{system}{', mixture of experts' if experts else ''} ({len(members)})",
        )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="measured iteration time (s)", ylabel="predicted iteration time (s)")
    axes.set_title("Training runs: predicted against measured; band ±15 %", loc="left", fontweight="bold")
    axes.grid(color="0.9", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=9, frameon=False, loc="outside right upper")
    return figure
