"""Picture of predictions of ranking models: steps of training, rates and latencies of services apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.study.validation.framework import Row
from clustersim.study.validation.ranking.report import GOALS
from clustersim.study.validation.ranking.result import RankingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_ranking"]

_COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#CCBB44", "#EE7733", "#777777")
_MARKS = "os^Dv<>P"
_PANELS = (
    ("training step", "Steps of training", "seconds"),
    ("serving throughput", "Throughput of services", "per second"),
    ("serving latency p99", "Latencies of services", "seconds"),
)
"""Goal, title and unit of each."""
_ENGINE = re.compile(r"triton-(\w+)")
_PERCENTILE = re.compile(r"latency(?:_(p\d+))?$")


def plot_ranking(rows: Sequence[Row]) -> Figure:
    """Draw predicted against measured: a panel per kind of figure, a colour and a shape per group.

    Training is grouped by framework, services by engine; marks of systems that are held out are hollow. The
    band is the mean error that is aimed at.
    """
    from matplotlib.figure import Figure

    panels = [panel for panel in _PANELS if any(_panel(row) == panel[0] for row in rows)]
    figure = Figure(figsize=(5.4 * max(1, len(panels)), 7.4), layout="constrained")
    for place, (kind, title, words) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place, box_aspect=1)
        _draw(axes, [row for row in rows if _panel(row) == kind], words, band=GOALS[kind])
        axes.set_title(f"{title}; band ±{GOALS[kind]:.0%}", loc="left", fontsize=10.5, fontweight="bold")
    return figure


def _panel(row: Row) -> str:
    if isinstance(row, RankingResult):
        return "training step"
    return "serving latency p99" if row.unit == "s" else "serving throughput"


def _draw(axes: Axes, rows: Sequence[Row], words: str, *, band: float) -> None:
    measured = np.array([row.measured for row in rows], dtype=float)
    predicted = np.array([row.predicted for row in rows], dtype=float)
    ends = np.array([min(measured.min(), predicted.min()) / 1.4, max(measured.max(), predicted.max()) * 1.4])
    axes.fill_between(ends, ends * (1 - band), ends * (1 + band), color="0.5", alpha=0.2, lw=0)
    axes.plot(ends, ends, color="0.3", lw=1)
    labels = [_label(row) for row in rows]
    for number, label in enumerate(sorted(dict.fromkeys(labels))):
        mark = _MARKS[(number + number // len(_COLOURS)) % len(_MARKS)]
        look: dict[str, Any] = {"s": 26, "alpha": 0.85, "marker": mark}
        colour = _COLOURS[number % len(_COLOURS)]
        for hollow in (False, True):
            chosen = [n for n, row in enumerate(rows) if labels[n] == label and _is_held_out(row) == hollow]
            name = f"{label}{', held out' if hollow else ''} ({len(chosen)})"
            if chosen:
                x, y = measured[chosen], predicted[chosen]
                axes.scatter(x, y, label=name, **look, **_fill(colour, hollow=hollow))
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel=f"measured ({words})", ylabel=f"predicted ({words})")
    axes.grid(color="0.9", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=1)


def _fill(colour: str, *, hollow: bool) -> dict[str, Any]:
    if hollow:
        return {"facecolors": "none", "edgecolors": colour, "linewidths": 1.1}
    return {"facecolors": colour, "edgecolors": "white", "linewidths": 0.4}


def _is_held_out(row: Row) -> bool:
    return isinstance(row, RankingResult) and row.held_out


def _label(row: Row) -> str:
    """Return the framework; of services the engine, and which latency it is."""
    if isinstance(row, RankingResult):
        return row.framework
    engine, scenario = _ENGINE.search(row.group), re.search(r"Offline|Server", row.group)
    words = f"Triton, {engine[1]}" if engine else f"MLPerf {scenario[0] if scenario else ''}".strip()
    latency = _PERCENTILE.search(row.group)
    return f"{words}, {latency[1] or 'mean'}" if latency else words
