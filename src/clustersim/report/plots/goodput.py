"""Pictures of a study of days: goodput over the interval, and what each day's time went to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator

from clustersim.errors import InputError
from clustersim.report.goodput import USE_WORDS
from clustersim.report.numbers import duration, percent
from clustersim.report.style import (
    BLUE,
    CYAN,
    FAINT,
    GREEN,
    GREY,
    PURPLE,
    RED,
    YELLOW,
    Picture,
    house_style,
    legend_below,
    legend_outside,
    new_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from clustersim.study.goodput_result import Goodput
    from clustersim.workloads.training.reliability import Days

__all__ = ["GoodputPlots", "goodput_over_interval", "goodput_timeline"]

_COLORS = {
    "lost_share": RED,
    "checkpoint_share": CYAN,
    "detection_share": PURPLE,
    "restart_share": YELLOW,
    "waiting_share": GREY,
    "reduced_share": GREEN,
}
_DAY_S = 86400.0
_MOST_BARS = 60
_ALIKE = 0.02
"""Intervals this near each other are one line."""
_ROUND_TIMES = {
    1.0: "1 s",
    5.0: "5 s",
    15.0: "15 s",
    30.0: "30 s",
    60.0: "1 min",
    120.0: "2 min",
    300.0: "5 min",
    600.0: "10 min",
    1200.0: "20 min",
    2400.0: "40 min",
    3600.0: "1 h",
    7200.0: "2 h",
    14400.0: "4 h",
    28800.0: "8 h",
    57600.0: "16 h",
    86400.0: "1 d",
    172800.0: "2 d",
    432000.0: "5 d",
}


@dataclass(frozen=True)
class GoodputPlots:
    """Pictures of one study; each method returns a matplotlib figure."""

    study: Goodput

    def interval(self) -> Picture:
        """Draw goodput over the time between checkpoints, with Young's and Daly's optimum."""
        return goodput_over_interval(self.study)

    def timeline(self, *, seed: int | None = None) -> Picture:
        """Draw what each day's time went to, in the period of one seed (default: the first)."""
        return goodput_timeline(self.study, seed=seed)

    def all(self) -> Iterator[tuple[str, Picture]]:
        """Yield file name and picture of all that there is data for."""
        if self.study.points:
            yield "interval", self.interval()
        yield "timeline", self.timeline()


@house_style
def goodput_over_interval(study: Goodput) -> Picture:
    """Draw the sweep: mean and 95 % interval of each simulated interval, and the closed forms.

    Filled marks are no worse than the best within the error of the paired difference.
    """
    best = study.best
    if best is None:
        raise InputError("there was no sweep over intervals, so there is nothing to draw")
    picture, axes = new_picture(8.0, 4.4)
    points = study.points
    times = [point.interval_s for point in points]
    axes.plot(
        times,
        [100 * point.goodput for point in points],
        "o-",
        color=BLUE,
        mfc="white",
        ms=5,
        label="simulated",
    )
    good = [(point.interval_s, 100 * point.goodput) for point in points if point.as_good]
    axes.plot(*zip(*good, strict=True), "o", color=BLUE, ms=5, label="as good as the best")
    _draw_interval(axes, study)
    expected = [point.closed_form for point in points]
    if all(value is not None for value in expected):
        values = [100 * value for value in expected if value is not None]
        axes.plot(times, values, "--", color=RED, lw=1.4, label="Daly's closed form")
    _mark_optima(axes, study)
    _time_ticks(axes, times)
    axes.set(xlabel="training time between checkpoints", ylabel="goodput (%)")
    axes.set_title(
        f"{study.job.name}: most goodput, {100 * best.goodput:.1f} %, at {duration(best.interval_s)}"
    )
    legend_below(axes)
    return picture


def _draw_interval(axes: Axes, study: Goodput) -> None:
    ends = [(point.low, point.high) for point in study.points if point.low is not None]
    if ends:
        low, high = np.array(ends, dtype=float).T * 100
        times = [point.interval_s for point in study.points]
        axes.fill_between(times, low, high, color=BLUE, alpha=0.15, lw=0, label="95 % interval")


def _mark_optima(axes: Axes, study: Goodput) -> None:
    marks = {"young": (PURPLE, "-.", "Young's optimum"), "daly": (RED, ":", "Daly's optimum")}
    intervals = study.intervals()
    for name, (color, style, words) in marks.items():
        axes.axvline(intervals[name], color=color, lw=1.2, ls=style, label=words)
    if abs(intervals["scenario"] / intervals["daly"] - 1.0) > _ALIKE:
        axes.axvline(intervals["scenario"], color=FAINT, lw=1.2, label="the scenario's")


def _time_ticks(axes: Axes, times: Sequence[float]) -> None:
    """Label a logarithmic axis with times that people name."""
    axes.set_xscale("log")
    shown = {seconds: words for seconds, words in _ROUND_TIMES.items() if times[0] <= seconds <= times[-1]}
    if len(shown) > 1:
        axes.set_xticks(list(shown), list(shown.values()))
        axes.xaxis.set_minor_locator(NullLocator())


@house_style
def goodput_timeline(study: Goodput, *, seed: int | None = None) -> Picture:
    """Draw time that was not useful, by what it went to: a bar per day, or per several in long periods."""
    run = study.runs[0] if seed is None else next((run for run in study.runs if run.seed == seed), None)
    if run is None:
        raise InputError(f"there is no period of seed {seed}; there are {', '.join(map(str, study.seeds))}")
    edges_s, shares = _binned(run)
    picture, axes = new_picture(8.8, 4.0)
    width = np.diff(edges_s) / _DAY_S
    bottom = np.zeros(len(width))
    for name, color in _COLORS.items():
        values = 100 * shares[name]
        if values.any():
            total = percent(float((shares[name] * width).sum() / width.sum()))
            axes.bar(
                edges_s[:-1] / _DAY_S, values, width, bottom, align="edge", color=color,
                edgecolor="white", lw=0.3, label=f"{USE_WORDS[name]}, {total}",
            )  # fmt: skip
            bottom += values
    axes.set(xlabel="day", ylabel="time that was not useful (%)", xlim=(0, run.days_s / _DAY_S))
    axes.set_ylim(0, min(100.0, 1.08 * max(bottom.max(), 1e-3)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.grid(visible=False, axis="x")
    axes.set_title(
        f"{study.job.name}: goodput {percent(run.goodput)}, and what the rest went to (seed {run.seed})"
    )
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        legend_outside(axes, handles=handles[::-1], labels=labels[::-1])
    return picture


def _binned(run: Days) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return the edges of the bars in seconds, and the share of each use in each bar.

    What a phase went to is spread evenly over it, but for training that had to be done again: that is
    the last that ran before the interruption.
    """
    days = max(1, round(run.days_s / _DAY_S / _MOST_BARS + 0.5))
    edges_s = np.append(np.arange(0.0, run.days_s * (1 - 1e-9), days * _DAY_S), run.days_s)
    starts = np.array([stay.start_s for stay in run.stays])
    ends = np.array([stay.end_s for stay in run.stays])
    shares = {}
    for name in _COLORS:
        use = name.removesuffix("_share") + "_s"
        seconds = np.array([getattr(stay.account, use) for stay in run.stays])
        since = np.maximum(starts, ends - seconds) if use == "lost_s" else starts
        per_s = seconds / np.where(ends > since, ends - since, 1.0)
        inside = np.minimum(ends, edges_s[1:, None]) - np.maximum(since, edges_s[:-1, None])
        shares[name] = (np.clip(inside, 0.0, None) * per_s).sum(axis=1) / np.diff(edges_s)
    return edges_s, shares
