"""Picture of predictions of ranking models: steps of training, rates and latencies of services apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.study.validation.framework import Row
from clustersim.study.validation.ranking.result import RankingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_ranking"]

_COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#CCBB44", "#EE7733", "#777777")
_MARKS = "os^Dv<>P"
_BAND = {"training": 0.15}
_USUAL_BAND = 0.20
_PANELS = (
    ("training", "Steps of training", "seconds"),
    ("rate", "Throughput of services", "per second"),
    ("latency", "Latencies of services", "seconds"),
)


def plot_ranking(rows: Sequence[Row]) -> Figure:
    """Draw predicted against measured: a panel per kind of figure, a colour and a shape per group.

    Marks of systems that are held out are hollow; the band is the error that is aimed at.
    """
    from matplotlib.figure import Figure

    panels = [panel for panel in _PANELS if any(_panel(row) == panel[0] for row in rows)]
    figure = Figure(figsize=(5.8 * max(1, len(panels)), 7.4), layout="constrained")
    for place, (kind, title, words) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place, box_aspect=1)
        _draw(axes, [row for row in rows if _panel(row) == kind], words)
        band = _BAND.get(kind, _USUAL_BAND)
        axes.set_title(f"{title}; band ±{band:.0%}", loc="left", fontsize=10.5, fontweight="bold")
    return figure


def _panel(row: Row) -> str:
    if isinstance(row, RankingResult):
        return "training"
    return "latency" if row.unit == "s" else "rate"


def _draw(axes: Axes, rows: Sequence[Row], words: str) -> None:
    measured = np.array([row.measured for row in rows], dtype=float)
    predicted = np.array([row.predicted for row in rows], dtype=float)
    ends = np.array([min(measured.min(), predicted.min()) / 1.4, max(measured.max(), predicted.max()) * 1.4])
    band = _BAND.get(_panel(rows[0]), _USUAL_BAND)
    axes.fill_between(ends, ends * (1 - band), ends * (1 + band), color="0.5", alpha=0.2, lw=0)
    axes.plot(ends, ends, color="0.3", lw=1)
    labels = [_label(row) for row in rows]
    for number, label in enumerate(dict.fromkeys(labels)):
        chosen = np.array([each == label for each in labels])
        look = _look(_COLOURS[number % len(_COLOURS)], hollow=_is_held_out(rows[labels.index(label)]))
        axes.scatter(
            measured[chosen],
            predicted[chosen],
            s=28,
            alpha=0.85,
            marker=_MARKS[number % len(_MARKS)],
            label=f"{label} ({chosen.sum()})",
            **look,
        )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel=f"measured ({words})", ylabel=f"predicted ({words})")
    axes.grid(color="0.9", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=1)


def _look(colour: str, *, hollow: bool) -> dict[str, Any]:
    if hollow:
        return {"facecolors": "none", "edgecolors": colour, "linewidths": 1.1}
    return {"facecolors": colour, "edgecolors": "white", "linewidths": 0.4}


def _is_held_out(row: Row) -> bool:
    return isinstance(row, RankingResult) and row.held_out


def _label(row: Row) -> str:
    if not isinstance(row, RankingResult):
        return row.group
    return f"{row.kind}{', held out' if row.held_out else ''}"
