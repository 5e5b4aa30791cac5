"""The look of all pictures: one palette, one set of rules, figures that no global state knows.

Colours are the "bright" and "high-contrast" schemes of Paul Tol, made for all kinds of
colour vision (P. Tol, Colour Schemes, SRON/EPS/TN/09-002, 2021).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING, STORAGE
from clustersim.report.numbers import round_duration, time_scale
from clustersim.results.attribution import NETWORK_BANDWIDTH

__all__ = [
    "BLUE",
    "CYAN",
    "GREEN",
    "GREY",
    "PURPLE",
    "RED",
    "RESOURCE_COLORS",
    "YELLOW",
    "Picture",
    "house_style",
]

BLUE, CYAN, GREEN, YELLOW, RED, PURPLE, GREY = (
    "#4477AA",
    "#66CCEE",
    "#228833",
    "#CCBB44",
    "#EE6677",
    "#AA3377",
    "#BBBBBB",
)
SERIES = (BLUE, RED, GREEN, PURPLE, CYAN, YELLOW, GREY)
"""Order in which lines of one picture get their colours."""
DARK_BLUE, LIGHT_BLUE = "#2B4C70", "#99B8D6"
INK = "#333333"
FAINT = "#888888"

RESOURCE_COLORS: Mapping[str, str] = {
    COMPUTE: BLUE,
    MEMORY_BANDWIDTH: CYAN,
    NETWORK_BANDWIDTH: RED,
    NETWORK_LATENCY: PURPLE,
    HOST: YELLOW,
    STORAGE: "#225566",
    QUEUEING: GREY,
}
"""A resource has the same colour in every picture."""

_RULES: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "clustersim",
    "svg.fonttype": "path",
}

_DPI = 150
_FEW_DECADES = 2e3
_LETTERS_IN_LINE = 64
_LONG_TIMES = ((3600.0, "h"), (60.0, "min"))

Parameters = ParamSpec("Parameters")


class Picture(Figure):
    """A matplotlib figure that shows itself in notebooks and that pyplot does not hold on to."""

    def save(self, path: Path | str) -> None:
        """Write as the suffix of `path` says (PNG, SVG, PDF); the same data gives the same file."""
        suffix = Path(path).suffix.lstrip(".").lower()
        metadata: dict[str, str | None] = {"Date": None} if suffix == "svg" else {}
        with matplotlib.rc_context(_RULES):
            self.savefig(path, dpi=_DPI, metadata=metadata)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with matplotlib.rc_context(_RULES):
            self.savefig(buffer, format="png", dpi=_DPI)
        return buffer.getvalue()


def house_style(draw: Callable[Parameters, Picture]) -> Callable[Parameters, Picture]:
    """Draw under the rules of this module, whatever the user's matplotlib settings are."""

    @functools.wraps(draw)
    def styled(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Picture:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_RULES)
            return draw(*args, **kwargs)

    return styled


def new_picture(width: float = 8.0, height: float = 4.2) -> tuple[Picture, Axes]:
    """Return an empty picture (inches) with one pair of axes."""
    picture = Picture(figsize=(width, height), layout="constrained")
    return picture, picture.add_subplot()


def stacked_picture(panels: int, width: float, height: float) -> tuple[Picture, list[Axes]]:
    """Return panels above each other that share their time axis; `height` is of one panel."""
    picture = Picture(figsize=(width, 0.6 + height * panels), layout="constrained")
    column = picture.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    return picture, list(column)


def legend_outside(axes: Axes, *, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put the legend to the right of the axes, where it cannot hide data."""
    axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.0), alignment="left")


def legend_below(axes: Axes) -> None:
    """Put the legend under the axes, in one line or two."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    entries = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    for other in figure.axes:
        handles, labels = other.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    letters = sum(map(len, entries))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=len(entries) if letters <= _LETTERS_IN_LINE else -(-len(entries) // 2),
        columnspacing=1.4,
        handlelength=1.5,
    )


def log_seconds(axis: Axis) -> None:
    """Label a logarithmic axis in seconds: 100 ms, 1 s, 10 s; also 2 and 5 where there is room."""
    low, high = axis.get_view_interval()
    few = low > 0 and high / low < _FEW_DECADES
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: round_duration(value)))
    axis.set_minor_formatter(NullFormatter())


def time_axis(axes: Axes, words: str) -> None:
    """Label a time axis in seconds, minutes or hours, as its length asks for."""
    low, high = axes.get_xlim()
    span = high - low
    step, unit = next((item for item in _LONG_TIMES if span >= 3 * item[0]), (0.0, ""))
    factor, unit = (1.0 / step, unit) if unit else time_scale(span)
    axes.xaxis.set_major_locator(_ScaledLocator(factor))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * factor:.6g}"))
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{words} ({unit})")


class _ScaledLocator(MaxNLocator):
    """Ticks at round numbers of another unit."""

    def __init__(self, factor: float) -> None:
        super().__init__(nbins=9, steps=[1, 2, 2.5, 5, 10])
        self._factor = factor

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return positions in seconds."""
        ticks = np.asarray(super().tick_values(vmin * self._factor, vmax * self._factor))
        return list(ticks / self._factor)
