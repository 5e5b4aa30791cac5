"""What changed between variants: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.style import (
    BLUE,
    FAINT,
    GREY,
    PURPLE,
    RED,
    Picture,
    house_style,
    legend_below,
    new_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.study.comparison import Change, Comparison

__all__ = ["change"]

_MARKS = {
    "better": ("o", BLUE),
    "worse": ("X", RED),
    "unclear": ("o", FAINT),
    "no difference": ("o", FAINT),
    "changed": ("D", PURPLE),
    "one seed": ("s", GREY),
}
_LEAST_REACH = 20.0
"""Percent that the axis shows at least, where an interval is longer."""


@house_style
def change(comparison: Comparison, *, metrics: Sequence[str] | None = None) -> Picture:
    """Draw the relative change of each metric from the first variant, with its interval.

    A panel per further variant; a dot left of the line is a decrease. Colour and mark
    say whether that is better or worse for the metric.
    """
    rows = comparison.headline() if metrics is None else comparison.select(metrics)
    rows = [row for row in rows if row.relative is not None]
    if not rows:
        raise InputError("no metric is there in both variants, there is nothing to draw")
    places = list(dict.fromkeys((row.workload, row.metric) for row in rows))
    picture, _ = new_picture(8.8, 1.7 + 0.27 * (len(places) + len({name for name, _ in places})))
    picture.clear()
    variants = comparison.variants[1:]
    panels = np.atleast_1d(picture.subplots(1, len(variants), sharey=True))
    heights = _heights(places)
    limits = _limits(rows)
    for axes, variant in zip(panels, variants, strict=True):
        _panel(axes, [row for row in rows if row.variant == variant], heights, limits)
        axes.set_xlabel(f"change with '{variant}' (%)")
    panels[0].set_yticks(list(heights.values()), [f"{metric}" for _, metric in places])
    for name in dict.fromkeys(name for name, _ in places):
        top = min(heights[place] for place in places if place[0] == name)
        panels[0].annotate(
            name, (0, top - 0.85), xycoords=panels[0].get_yaxis_transform(), xytext=(-6, 0),
            textcoords="offset points", ha="right", va="center", fontweight="bold",
        )  # fmt: skip
    panels[0].set_ylim(max(heights.values()) + 0.7, min(heights.values()) - 1.4)
    panels[0].set_title(f"Change from '{comparison.variants[0]}', {comparison.interval_words}")
    legend_below(panels[0])
    return picture


def _heights(places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Rows from top to bottom, with room for the name of each workload above its metrics."""
    heights: dict[tuple[str, str], float] = {}
    y, before = 0.0, ""
    for place in places:
        y += 1.0 if place[0] == before else 2.0
        heights[place], before = y, place[0]
    return heights


def _limits(rows: Sequence[Change]) -> tuple[float, float]:
    """Return the ends of the axis (%): all means and most of each interval; longer ones are cut."""
    means = [100 * row.relative for row in rows if row.relative is not None]
    reach = max(_LEAST_REACH, 1.6 * max(map(abs, means)))
    ends = [100 * end for row in rows for end in (row.relative_low, row.relative_high) if end is not None]
    low, high = min([*means, *ends, 0.0]), max([*means, *ends, 0.0])
    low, high = max(low, -reach), min(high, reach)
    margin = 0.08 * (high - low)
    return low - margin, high + margin


def _panel(
    axes: Axes,
    rows: Sequence[Change],
    heights: dict[tuple[str, str], float],
    limits: tuple[float, float],
) -> None:
    axes.axvline(0, color=FAINT, lw=1)
    named: set[str] = set()
    for row in rows:
        assert row.relative is not None
        y = heights[row.workload, row.metric]
        mark, color = _MARKS[row.verdict]
        if row.relative_low is not None and row.relative_high is not None:
            ends = [100 * row.relative_low, 100 * row.relative_high]
            axes.plot(ends, [y, y], color=color, lw=2.2, alpha=0.6, solid_capstyle="butt")
            for end, beyond, arrow in (
                (limits[0], ends[0] < limits[0], "<"),
                (limits[1], ends[1] > limits[1], ">"),
            ):
                if beyond:
                    axes.plot(end, y, arrow, color=color, ms=7, mew=0, clip_on=False)
        label = row.verdict if row.verdict not in named else "_nolegend_"
        fill = "white" if row.verdict in ("unclear", "no difference") else color
        axes.plot(100 * row.relative, y, mark, color=color, mfc=fill, ms=7, mew=1.6, label=label)
        named.add(row.verdict)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(limits)
