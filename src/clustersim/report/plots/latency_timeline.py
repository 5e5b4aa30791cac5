"""How latency changed while the service ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import round_duration, round_up
from clustersim.report.style import Picture, house_style, log_seconds, stacked_picture, time_axis
from clustersim.report.words import LATENCY_COLORS, LATENCY_WORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result

__all__ = ["latency_timeline"]

_SHOWN = ("ttft_s", "tpot_s")
_MOST_WINDOWS = 60
_LEAST_IN_WINDOW = 20


@house_style
def latency_timeline(result: Result, name: str) -> Picture:
    """Draw TTFT and TPOT of each request at its arrival, with the median and p99 of windows."""
    table = result.outcome(name).tables.get("requests")
    if table is None or not np.isfinite(table["ttft_s"]).any():
        raise InputError(f"'{name}' has no finished requests to draw")
    picture, panels = stacked_picture(len(_SHOWN), 8.6, 2.5)
    for axes, column in zip(panels, _SHOWN, strict=True):
        valid = np.isfinite(table[column]) & (table[column] > 0)
        arrival_s, values = table["arrival_s"][valid], table[column][valid]
        alpha = float(np.clip(900 / max(len(values), 1), 0.08, 0.7))
        color = LATENCY_COLORS[column]
        axes.scatter(arrival_s, values, s=5, color=color, alpha=alpha, lw=0, rasterized=len(values) > 2000)
        _windows(axes, arrival_s, values, color)
        axes.set(yscale="log", ylabel=LATENCY_WORDS[column])
        log_seconds(axes.yaxis)
    panels[0].set_title(f"{name}: latency of each request by arrival")
    time_axis(panels[-1], "time of arrival")
    return picture


def _windows(axes: Axes, arrival_s: np.ndarray, values: np.ndarray, color: str) -> None:
    most = min(_MOST_WINDOWS, len(values) // _LEAST_IN_WINDOW)
    if most < 3:
        return
    length_s = round_up(float(np.ptp(arrival_s)) / most)
    place = ((arrival_s - arrival_s.min()) / length_s).astype(int)
    windows = int(place.max()) + 1
    middles = arrival_s.min() + length_s * (np.arange(windows) + 0.5)
    for quantile, style, label in ((50, "-", "median"), (99, (0, (3, 1.5)), "p99")):
        line = [
            np.percentile(values[place == k], quantile) if (place == k).any() else np.nan
            for k in range(windows)
        ]
        axes.plot(middles, line, color="white", lw=3.2, alpha=0.8)
        axes.plot(
            middles, line, color=color, ls=style, lw=1.7, label=f"{label} per {round_duration(length_s)}"
        )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
