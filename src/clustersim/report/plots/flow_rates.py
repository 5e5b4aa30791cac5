"""How fast a workload's flows ran, and which link held them back when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch

from clustersim.errors import InputError
from clustersim.report.numbers import percent
from clustersim.report.style import GREY, INK, SERIES, Picture, house_style, stacked_picture, time_axis
from clustersim.results.flow_rates import OWN_RATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.results.flow_rates import RateSeries

__all__ = ["flow_rates"]

_MOST_SPANS = 1200
"""Spans that are drawn as they are; of more, means over bins."""
_FEW_SPANS = 150
_MOST_NAMED = 6
_REST = "other links"
_QUIET = "#ECEEF1"
_GIGA = 1e9


@house_style
def flow_rates(
    result: Result, name: str, *, start_s: float | None = None, end_s: float | None = None, panels: int = 4
) -> Picture:
    """Draw the rates of the routes with most bytes, a panel each; see `ResultPlots.flow_rates`."""
    low_s = 0.0 if start_s is None else start_s
    high_s = result.simulated_s if end_s is None else end_s
    if not low_s < high_s:
        raise InputError(
            f"the picture would go from {low_s:.6g} s to {high_s:.6g} s; give a start before the end"
        )
    every = result.flows.of(name)
    shown = [_cut(each, low_s, high_s) for each in every]
    shown = sorted((each for each in shown if len(each.start_s)), key=lambda each: -each.moved_bytes)
    if not shown:
        raise InputError(f"'{name}' moved no bytes between {low_s:.6g} s and {high_s:.6g} s")
    colors = _colors(shown[:panels])
    picture, column = stacked_picture(min(len(shown), panels), 9.2, 1.75)
    for axes, series in zip(column, shown, strict=False):
        _panel(axes, series, colors, (low_s, high_s))
    more = f", the {panels} of {len(shown)} routes with most bytes" if len(shown) > panels else ""
    picture.suptitle(f"{name}: rate of its flows{more}", x=0.01, ha="left", fontsize=11, weight="bold")
    column[-1].set_xlim(low_s, high_s)
    time_axis(column[-1], "time")
    _legend(picture, colors, shown[:panels])
    return picture


def _panel(axes: Axes, series: RateSeries, colors: Mapping[str, str], window_s: tuple[float, float]) -> None:
    axes.set_title(series.title, fontsize=9, weight="normal", pad=4)
    drawn = series if len(series.start_s) <= _MOST_SPANS else _binned(series, *window_s)
    rate = drawn.rate_bytes_per_s / _GIGA
    for holder in dict.fromkeys(drawn.held_by.tolist()):
        mine = drawn.held_by == holder
        width = (drawn.end_s - drawn.start_s)[mine]
        color = colors.get(holder, colors.get(_REST, _QUIET))
        axes.bar(drawn.start_s[mine], rate[mine], width, align="edge", color=color, alpha=0.55, lw=0)
    times, values = _steps(drawn, rate)
    thin = 0.9 if len(rate) < _FEW_SPANS else 0.45
    axes.plot(times, values, color=INK, lw=thin, drawstyle="steps-post", solid_joinstyle="miter")
    axes.set(ylim=(0, 1.1 * float(rate.max())), ylabel="GB/s per\nconnection")
    axes.grid(visible=False, axis="x")


def _steps(series: RateSeries, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the line, with 0 where nothing flowed between two spans."""
    gap = np.append(series.start_s[1:] > series.end_s[:-1] * (1 + 1e-12), True)
    times = np.stack((series.start_s, series.end_s), axis=1)
    values = np.stack((rate, np.where(gap, 0.0, np.nan)), axis=1)
    kept = np.stack((np.ones_like(gap), gap), axis=1)
    first = float(times[0, 0])
    return np.append(first, times[kept]), np.append(0.0, values[kept])


def _cut(series: RateSeries, low_s: float, high_s: float) -> RateSeries:
    inside = (series.end_s > low_s) & (series.start_s < high_s)
    return replace(
        series,
        start_s=np.maximum(series.start_s[inside], low_s),
        end_s=np.minimum(series.end_s[inside], high_s),
        rate_bytes_per_s=series.rate_bytes_per_s[inside],
        held_by=series.held_by[inside],
    )


def _binned(series: RateSeries, low_s: float, high_s: float) -> RateSeries:
    """Means over bins of equal width; what held back most of the bytes of a bin stands for it."""
    edges = np.linspace(low_s, high_s, _MOST_SPANS // 2 + 1)
    names, holder = np.unique(series.held_by.astype(str), return_inverse=True)
    parts = np.stack([_bytes_in(series, holder == n, edges) for n in range(len(names))])
    total = parts.sum(axis=0)
    busy = total > 0
    return replace(
        series,
        start_s=edges[:-1][busy],
        end_s=edges[1:][busy],
        rate_bytes_per_s=(total / np.diff(edges))[busy],
        held_by=names[parts.argmax(axis=0)][busy].astype(object),
    )


def _bytes_in(series: RateSeries, chosen: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Integral of the rate over each bin, of the chosen spans."""
    start_s, end_s, rate = (
        values[chosen] for values in (series.start_s, series.end_s, series.rate_bytes_per_s)
    )
    knots = np.stack((start_s, end_s), axis=1).ravel()
    area = np.cumsum(rate * (end_s - start_s))
    values = np.stack((np.concatenate(([0.0], area[:-1])), area), axis=1).ravel()
    return np.asarray(np.diff(np.interp(edges, knots, values)))


def _colors(shown: Sequence[RateSeries]) -> dict[str, str]:
    """Return a colour for each of the links that held back longest; own rates are always grey."""
    total: dict[str, float] = {}
    for series in shown:
        for holder, seconds in series.held_s().items():
            total[holder] = total.get(holder, 0.0) + seconds
    named = sorted((holder for holder in total if holder != OWN_RATE), key=lambda holder: -total[holder])
    palette = [color for color in SERIES if color != GREY]
    colors = dict(zip(named[:_MOST_NAMED], palette, strict=False))
    if len(named) > _MOST_NAMED:
        colors[_REST] = _QUIET
    if OWN_RATE in total:
        colors[OWN_RATE] = GREY
    return colors


def _legend(picture: Picture, colors: Mapping[str, str], shown: Sequence[RateSeries]) -> None:
    held = [series.held_s() for series in shown]
    every_s = sum(sum(each.values()) for each in held)
    handles = []
    for holder, color in colors.items():
        of_it = sum(each.get(holder, 0.0) for each in held)
        words = "at the rate of its own protocol" if holder == OWN_RATE else f"held back by {holder}"
        label = _REST if holder == _REST else f"{words}, {percent(of_it / every_s)}"
        handles.append(Patch(facecolor=color, alpha=0.55, label=label))
    picture.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=1.2)
