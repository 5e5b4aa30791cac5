"""How long requests took: cumulative distributions."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Draw TTFT, TPOT, times between tokens and end-to-end time on one logarithmic axis, with p99 marked."""
    curves = dict(_curves(result, name))
    if "e2e_s" not in curves:
        raise InputError(f"'{name}' has no finished requests to draw")
    picture, axes = new_picture(8.0, 4.4)
    for column, (values, percents) in curves.items():
        metrics = result.outcome(name).metrics
        p50, p99 = (
            metrics.get(f"{column}.p{level}", float(values[np.searchsorted(percents, level)]))
            for level in (50, 99)
        )
        label = f"{LATENCY_SHORT[column]}: p50 {duration(p50)}, p99 {duration(p99)}"
        color = LATENCY_COLORS[column]
        axes.step(values, percents, where="post", color=color, lw=1.8, label=label)
        axes.plot(p99, 99, "o", color=color, ms=5.5, mec="white", mew=0.8, zorder=4)
    axes.axhline(99, color=FAINT, lw=0.8, ls=(0, (4, 3)))
    axes.text(1.005, 99, "p99", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
    finished = len(curves["e2e_s"][0]) - 1
    axes.set_title(f"{name}: latency of {count(finished)} requests")
    axes.set(xscale="log", xlabel="time", ylabel="share that took no longer (%)", ylim=(0, 101))
    log_seconds(axes.xaxis)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, handlelength=1.4)
    return picture


def _curves(result: Result, name: str) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Values of each latency and the percentage of samples that are at most that."""
    tables = result.outcome(name).tables
    for column in LATENCY_SHORT:
        table = tables.get("inter_token" if column == "itl_s" else "requests")
        if table is None:
            continue
        if column == "itl_s":
            if len(table["itl_s"]):
                yield column, (table["itl_s"], 100.0 * table["share"])
            continue
        ordered = np.sort(counted(table, column))
        if len(ordered):
            percents = np.linspace(0, 100, len(ordered) + 1)
            yield column, (np.append(ordered[:1], ordered), percents)
