"""Picture of predicted over measured kernel times: one panel per class of kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.study.validation.kernels_rows import KernelRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_kernels"]

_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#AA3377", "#66CCEE", "#777777")
_COLUMNS = 3
_MOST_POINTS = 1500
"""Per device and panel; a table of 20,000 rows would be one blot."""


def plot_kernels(rows: Sequence[KernelRow]) -> Figure:
    """Draw predicted over measured time against measured time; colours tell devices apart."""
    from matplotlib.figure import Figure

    panels: dict[str, list[KernelRow]] = {}
    for row in rows:
        panels.setdefault(row.kernel.partition(",")[0], []).append(row)
    lines = max(1, -(-len(panels) // _COLUMNS))
    figure = Figure(figsize=(11, 2.6 * lines + 0.8), layout="constrained")
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    devices = list(dict.fromkeys(row.device for row in rows))
    for axes, (kernel, members) in zip(grid.flat, sorted(panels.items()), strict=False):
        _draw(axes, members, devices)
        axes.set_title(kernel, fontsize=9, loc="left")
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle("Predicted over measured time of kernels; band ±20 %", fontsize=12)
    figure.supxlabel("measured (us)", fontsize=10)
    _legend(figure, devices)
    return figure


def _draw(axes: Axes, rows: Sequence[KernelRow], devices: Sequence[str]) -> None:
    axes.axhspan(1 / 1.2, 1.2, color="0.5", alpha=0.15, lw=0)
    axes.axhline(1.0, color="0.3", lw=0.8)
    for index, device in enumerate(devices):
        points = np.array([(row.measured, 1.0 + (row.error or 0.0)) for row in rows if row.device == device])
        if len(points):
            shown = points[:: max(1, len(points) // _MOST_POINTS)]
            colour = _COLOURS[index % len(_COLOURS)]
            axes.plot(shown[:, 0], shown[:, 1], ".", ms=3, color=colour, alpha=0.6, rasterized=True)
    axes.set(xscale="log", yscale="log", ylim=(0.3, 3.3))
    axes.set_yticks([0.5, 1.0, 2.0], ["½", "1", "2"], fontsize=8)
    axes.minorticks_off()
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, devices: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_COLOURS[index % len(_COLOURS)], marker=".", ls="none", label=device)
        for index, device in enumerate(devices)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
