"""How long requests took: cumulative distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import count, duration
from clustersim.report.style import FAINT, INK, Picture, house_style, log_seconds, new_picture
from clustersim.report.words import LATENCY_COLORS, LATENCY_SHORT, counted

if TYPE_CHECKING:
    from clustersim.results import Result

__all__ = ["latency_cdf"]


@house_style
def latency_cdf(result: Result, name: str) -> Picture:
    """Draw TTFT, TPOT and end-to-end time on one logarithmic axis, with a dot at p99."""
    table = result.outcome(name).tables.get("requests")
    series = {} if table is None else {column: counted(table, column) for column in LATENCY_SHORT}
    series = {column: values for column, values in series.items() if len(values)}
    if not series:
        raise InputError(f"'{name}' has no finished requests to draw")
    picture, axes = new_picture(8.0, 4.4)
    for column, values in series.items():
        ordered = np.sort(values)
        percents = np.linspace(0, 100, len(ordered) + 1)
        p50, p99 = np.percentile(ordered, (50, 99))
        label = f"{LATENCY_SHORT[column]}: p50 {duration(p50)}, p99 {duration(p99)}"
        color = LATENCY_COLORS[column]
        axes.step(np.append(ordered[:1], ordered), percents, where="post", color=color, lw=1.8, label=label)
        axes.plot(p99, 99, "o", color=color, ms=5.5, mec="white", mew=0.8, zorder=4)
    axes.axhline(99, color=FAINT, lw=0.8, ls=(0, (4, 3)))
    axes.text(1.005, 99, "p99", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
    finished = max(len(values) for values in series.values())
    axes.set_title(f"{name}: latency of {count(finished)} requests")
    axes.set(xscale="log", xlabel="time", ylabel="requests that took no longer (%)", ylim=(0, 101))
    log_seconds(axes.xaxis)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=len(series), handlelength=1.4)
    return picture
