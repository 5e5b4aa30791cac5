"""Where the time of ranking queries goes, from the fastest to the slowest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import count, duration, percent, time_scale
from clustersim.report.query_time import QUERY_PARTS, band, counted_queries, mean_parts
from clustersim.report.style import (
    INK,
    RESOURCE_COLORS,
    Picture,
    house_style,
    legend_outside,
    new_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result

__all__ = ["query_time"]

_BANDS = (
    ("all", 0.0, 1.0),
    ("fastest\nhalf", 0.0, 0.5),
    ("p50 to p90", 0.5, 0.9),
    ("p90 to p99", 0.9, 0.99),
    ("slowest\n1 %", 0.99, 1.0),
)
"""Which queries a bar is of, by the order of their latency."""


@house_style
def query_time(result: Result, name: str) -> Picture:
    """Draw what the time of queries consists of: of all of them, and of the fast and the slow ones apart."""
    table = result.outcome(name).tables.get("queries")
    queries = counted_queries(table) if table is not None else {}
    if not len(queries.get("latency_s", ())):
        raise InputError(f"'{name}' has no answered queries to draw")
    latency_s = queries["latency_s"]
    parts = [mean_parts(queries, band(latency_s, low, high)) for _, low, high in _BANDS]
    picture, axes = new_picture(8.6, 4.2)
    _bars(axes, parts)
    whole_s = sum(parts[0].values())
    axes.set_title(f"{name}: a query takes {duration(whole_s)} on average, of {count(len(latency_s))}")
    axes.set_xticks(range(len(_BANDS)), [words for words, _, _ in _BANDS])
    axes.grid(visible=False, axis="x")
    handles, labels = axes.get_legend_handles_labels()
    legend_outside(axes, handles=handles[::-1], labels=labels[::-1])
    return picture


def _bars(axes: Axes, parts: list[dict[str, float]]) -> None:
    """Stack the parts of each band, the largest of all queries lowest, and write how long each takes."""
    totals = np.array([sum(each.values()) for each in parts])
    factor, unit = time_scale(float(totals.max()))
    bottom = np.zeros(len(parts))
    for part in sorted(parts[0], key=lambda each: -parts[0][each]):
        heights = factor * np.array([each[part] for each in parts])
        if heights.any():
            label = f"{QUERY_PARTS[part]}, {percent(parts[0][part] / totals[0])}"
            axes.bar(range(len(parts)), heights, 0.7, bottom, color=RESOURCE_COLORS[part], label=label)
            bottom += heights
    for place, total_s in enumerate(totals.tolist()):
        axes.annotate(
            duration(total_s),
            (place, factor * total_s),
            (0.0, 3.0),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_ylabel(f"mean time of a query ({unit})")
    axes.set_ylim(0.0, 1.1 * factor * float(totals.max()))
