"""Picture of serving predictions: times and rates apart, one mark per kind of figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.study.validation.framework import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_inference"]

_COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#CCBB44", "#777777")
_MARKS = "os^Dv<>"
_PANELS = (("s", "seconds"), ("tokens/s", "tokens per second"), ("1/s", "requests per second"))


def plot_inference(rows: Sequence[Row]) -> Figure:
    """Draw predicted against measured: a panel per unit, a colour and a shape per source and figure."""
    from matplotlib.figure import Figure

    panels = [panel for panel in _PANELS if any(row.unit == panel[0] for row in rows)]
    figure = Figure(figsize=(5.6 * max(1, len(panels)), 6.4), layout="constrained")
    for place, (unit, words) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place, box_aspect=1)
        _draw(axes, [row for row in rows if row.unit == unit], words)
    figure.suptitle("Predicted against measured; bands ±10 % and ±20 %", x=0.02, ha="left", fontweight="bold")
    return figure


def _draw(axes: Axes, rows: Sequence[Row], words: str) -> None:
    measured = np.array([row.measured for row in rows], dtype=float)
    predicted = np.array([row.predicted for row in rows], dtype=float)
    ends = np.array([min(measured.min(), predicted.min()) / 1.4, max(measured.max(), predicted.max()) * 1.4])
    for band in (0.2, 0.1):
        axes.fill_between(ends, ends * (1 - band), ends * (1 + band), color="0.5", alpha=0.15, lw=0)
    axes.plot(ends, ends, color="0.3", lw=1)
    labels = [_label(row) for row in rows]
    for number, label in enumerate(dict.fromkeys(labels)):
        chosen = np.array([each == label for each in labels])
        look: dict[str, Any] = {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKS[number % len(_MARKS)],
        }
        axes.scatter(
            measured[chosen], predicted[chosen], s=26, alpha=0.8, lw=0.3, ec="white", label=label, **look
        )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel=f"measured ({words})", ylabel=f"predicted ({words})")
    axes.grid(color="0.9", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _label(row: Row) -> str:
    """Return source and figure: `MLPerf Server, ttft p99`."""
    table, _, figure = row.group.rpartition(": ")
    ending = next((word for word in ("Offline", "Server") if table.endswith(word)), "")
    source = table.partition(",")[0] if "," in table else table.partition(" ")[0]
    return f"{' '.join(filter(None, (source, ending)))}, {figure.replace('_', ' ')}"
