"""Picture of predicted over measured kernel times: one panel per class of kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.study.validation.kernels.rows import KernelRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_kernels"]

_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#AA3377", "#66CCEE", "#777777")
_MARKS = "os^D"
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
    figure.suptitle(
        "Predicted over measured time of kernels, against measured time (us); band ±20 %", fontsize=12
    )
    _legend(figure, devices)
    return figure


def _look(index: int) -> dict[str, Any]:
    """Return colour and mark of a device; no two of 28 are alike."""
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKS[index // len(_COLOURS) % len(_MARKS)],
        "ls": "none",
        "mec": "none",
    }


def _draw(axes: Axes, rows: Sequence[KernelRow], devices: Sequence[str]) -> None:
    axes.axhspan(1 / 1.2, 1.2, color="0.5", alpha=0.15, lw=0)
    axes.axhline(1.0, color="0.3", lw=0.8)
    for index, device in enumerate(devices):
        points = np.array([(row.measured, 1.0 + (row.error or 0.0)) for row in rows if row.device == device])
        if len(points):
            shown = points[:: max(1, len(points) // _MOST_POINTS)]
            axes.plot(shown[:, 0], shown[:, 1], **_look(index), ms=3, alpha=0.6, rasterized=True)
    axes.set(xscale="log", yscale="log", ylim=(0.2, 5.0))
    axes.set_yticks([0.25, 0.5, 1.0, 2.0, 4.0], ["¼", "½", "1", "2", "4"], fontsize=8)
    axes.minorticks_off()
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, devices: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **_look(index), label=device) for index, device in enumerate(devices)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
