"""How long requests, or queries, took: cumulative distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import count, duration
from clustersim.report.query_time import latency_objective_s
from clustersim.report.style import FAINT, INK, Picture, house_style, log_seconds, new_picture
from clustersim.report.words import LATENCY_COLORS, LATENCY_SHORT, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["latency_cdf"]

_MOST_POINTS = 4000
_SHORTEST_WAIT = 0.01
"""Of the shortest latency: waits of less are not worth their place on a logarithmic axis."""


@house_style
def latency_cdf(result: Result, name: str) -> Picture:
    """Draw the latencies of a service on one logarithmic axis, with p99 marked.

    Of requests TTFT, TPOT, times between tokens and end-to-end time; of queries the whole and its wait.
    """
    tables = result.outcome(name).tables
    what, whole = ("queries", "latency_s") if "queries" in tables else ("requests", "e2e_s")
    curves = dict(_curves(tables, what))
    if whole not in curves:
        raise InputError(f"'{name}' has no finished {what} to draw")
    picture, axes = new_picture(8.0, 4.4)
    for column, (values, percents) in curves.items():
        metrics = result.outcome(name).metrics
        p50, p99 = (
            metrics.get(f"{column}.p{level}", float(values[np.searchsorted(percents, level)]))
            for level in (50, 99)
        )
        label = f"{LATENCY_SHORT[column]}: p50 {duration(p50)}, p99 {duration(p99)}"
        color = LATENCY_COLORS[column]
        drawn = _drawn(len(values))
        axes.step(values[drawn], percents[drawn], where="post", color=color, lw=1.8, label=label)
        if p99 > 0.0:
            axes.plot(p99, 99, "o", color=color, ms=5.5, mec="white", mew=0.8, zorder=4)
    axes.axhline(99, color=FAINT, lw=0.8, ls=(0, (4, 3)))
    axes.text(1.005, 99, "p99", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
    axes.set(xscale="log", xlabel="time", ylabel="share that took no longer (%)", ylim=(0, 101))
    finished = len(curves[whole][0]) - 1
    _objective(axes, result, name)
    _without_short_waits(axes, curves)
    log_seconds(axes.xaxis)
    axes.set_title(f"{name}: latency of {count(finished)} {what}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, handlelength=1.4)
    return picture


def _without_short_waits(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Let the axis of a ranking service begin where waits are worth their place on it."""
    if "latency_s" not in curves or "queue_s" not in curves:
        return
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, _SHORTEST_WAIT * float(curves["latency_s"][0][0])), right)


def _objective(axes: Axes, result: Result, name: str) -> None:
    """Mark the objective of a ranking service."""
    limit_s = latency_objective_s(result, name)
    if limit_s is None:
        return
    axes.axvline(limit_s, color=INK, lw=1.0, ls="--")
    axes.annotate(
        f"objective {duration(limit_s)}",
        (limit_s, 0.02),
        (-4.0, 2.0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
    )


def _curves(tables: Mapping[str, Table], what: str) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Values of each latency and the percentage of samples that are at most that."""
    for column in LATENCY_SHORT:
        table = tables.get("inter_token" if column == "itl_s" else what)
        if table is None or column not in table or (column == "queue_s" and what != "queries"):
            continue
        if column == "itl_s":
            if len(table["itl_s"]):
                yield column, (table["itl_s"], 100.0 * table["share"])
            continue
        ordered = np.sort(counted(table, column))
        if len(ordered):
            # Waits of no time have no place on a logarithmic axis: the curve begins at their share.
            every = len(ordered) if column != "queue_s" else len(counted(table, "latency_s"))
            percents = np.linspace(100.0 * (1.0 - len(ordered) / every), 100.0, len(ordered) + 1)
            yield column, (np.append(ordered[:1], ordered), percents)


def _drawn(count: int) -> np.ndarray:
    """Which points of a curve are drawn: all of a few thousand; of more, evenly, the last ones all."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    coarse = np.linspace(0, count - 1, _MOST_POINTS // 2).astype(int)
    from_the_end = count - 1 - np.geomspace(1, count - 1, _MOST_POINTS // 2).astype(int)
    return np.unique(np.concatenate((coarse, from_the_end, [count - 1])))
