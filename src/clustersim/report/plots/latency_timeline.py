"""How latency changed while the service ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import round_duration, round_up
from clustersim.report.style import YELLOW, Picture, house_style, log_seconds, stacked_picture, time_axis
from clustersim.report.words import LATENCY_COLORS, LATENCY_WORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["latency_timeline"]

_SHOWN = {"requests": ("ttft_s", "tpot_s"), "queries": ("latency_s", "queue_s")}
"""Columns of each table that a service may have."""
_MOST_POINTS = 40_000
_SHORTEST = 1e-3
"""Of the longest: shorter waits do not squeeze what matters."""
_MOST_WINDOWS = 60
_LEAST_IN_WINDOW = 20


@house_style
def latency_timeline(result: Result, name: str) -> Picture:
    """Draw latencies of each request, or query, at its arrival, with the median and p99 of windows.

    Of requests TTFT and TPOT; of queries the whole latency and, where any waited, the wait in the queue.
    Times at which new weights were brought to a replica are shaded.
    """
    tables = result.outcome(name).tables
    what = "queries" if "queries" in tables else "requests"
    table = tables.get(what, {})
    shown = [column for column in _SHOWN[what] if column in table and _drawable(table[column]).any()]
    if not shown:
        raise InputError(f"'{name}' has no finished {what} to draw")
    picture, panels = stacked_picture(len(shown), 8.6, 2.5)
    for axes, column in zip(panels, shown, strict=True):
        valid = _drawable(table[column])
        arrival_s, values = table["arrival_s"][valid], table[column][valid]
        _pushes(axes, tables.get("pushes", {}))
        _points(axes, arrival_s, values, LATENCY_COLORS[column])
        measured = np.isfinite(table[column]) if column == "queue_s" else valid  # no wait is a wait of 0
        _windows(axes, table["arrival_s"][measured], table[column][measured], LATENCY_COLORS[column])
        axes.set(yscale="log", ylabel=LATENCY_WORDS[column])
        if values.min() < _SHORTEST * values.max():
            axes.set_ylim(bottom=_SHORTEST * float(values.max()))
        log_seconds(axes.yaxis)
    panels[0].set_title(
        f"{name}: latency of {'each query' if what == 'queries' else 'each request'} by arrival"
    )
    time_axis(panels[-1], "time of arrival")
    return picture


def _drawable(values: np.ndarray) -> np.ndarray:
    """Which values have a place on a logarithmic axis."""
    drawable: np.ndarray = np.isfinite(values) & (values > 0)
    return drawable


def _pushes(axes: Axes, pushes: Table) -> None:
    """Shade each push, from its begin to its end on the last replica."""
    label = "model push"
    for number in np.unique(pushes.get("push", [])):
        own = pushes["push"] == number
        begin_s, end_s = float(pushes["start_s"][own].min()), float(pushes["end_s"][own].max())
        axes.axvspan(begin_s, end_s, color=YELLOW, alpha=0.3, lw=0, label=label)
        label = "_nolegend_"


def _points(axes: Axes, arrival_s: np.ndarray, values: np.ndarray, color: str) -> None:
    """Draw a point for each value; of very many the largest hundredth, and of the others every so many."""
    if len(values) > _MOST_POINTS:
        chosen = values >= np.percentile(values, 99)
        chosen[:: -(-len(values) // _MOST_POINTS)] = True
        arrival_s, values = arrival_s[chosen], values[chosen]
    alpha = float(np.clip(900 / max(len(values), 1), 0.08, 0.7))
    axes.scatter(arrival_s, values, s=5, color=color, alpha=alpha, lw=0, rasterized=len(values) > 2000)


def _windows(axes: Axes, arrival_s: np.ndarray, values: np.ndarray, color: str) -> None:
    most = min(_MOST_WINDOWS, len(values) // _LEAST_IN_WINDOW)
    if most < 3:
        return
    length_s = round_up(float(np.ptp(arrival_s)) / most)
    place = ((arrival_s - arrival_s.min()) / length_s).astype(int)
    windows = int(place.max()) + 1
    middles = arrival_s.min() + length_s * (np.arange(windows) + 0.5)
    for quantile, style, label in ((50, "-", "median"), (99, (0, (3, 1.5)), "p99")):
        line = np.array(
            [
                np.percentile(values[place == k], quantile) if (place == k).any() else np.nan
                for k in range(windows)
            ]
        )
        if not _drawable(line).any():
            continue
        line[~_drawable(line)] = np.nan
        axes.plot(middles, line, color="white", lw=3.2, alpha=0.8)
        axes.plot(
            middles, line, color=color, ls=style, lw=1.7, label=f"{label} per {round_duration(length_s)}"
        )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
