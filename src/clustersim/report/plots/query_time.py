"""Where the time of ranking queries goes, from the fastest to the slowest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.report.numbers import count, duration, percent, time_scale
from clustersim.report.query_time import (
    QUERY_PARTS,
    band,
    counted_queries,
    mean_of,
    parts_by_resource,
    parts_by_stage,
)
from clustersim.report.style import (
    FAINT,
    INK,
    RESOURCE_COLORS,
    SERIES,
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
_GROUPS = ("resource", "stage")


@house_style
def query_time(result: Result, name: str, *, by: str = "resource") -> Picture:
    """Draw what the time of queries consists of: of all of them, and of the fast and the slow ones apart.

    Parameters
    ----------
    by
        `resource`, or `stage` for a service whose queries go through several pools.
    """
    latency_s, seconds = _seconds(result, name, by)
    parts = [mean_of(seconds, band(latency_s, low, high)) for _, low, high in _BANDS]
    if by == "resource":
        largest_first = sorted(seconds, key=lambda each: -parts[0][each])
        parts, colors = [{name: each[name] for name in largest_first} for each in parts], RESOURCE_COLORS
    else:
        colors = dict(zip(seconds, SERIES, strict=False))
    picture, axes = new_picture(8.6, 4.2)
    _bars(axes, parts, colors)
    mean = duration(float(latency_s.mean()))
    axes.set_title(f"{name}: a query takes {mean} on average, of {count(len(latency_s))}")
    axes.set_xticks(range(len(_BANDS)), [words for words, _, _ in _BANDS])
    axes.grid(visible=False, axis="x")
    handles, labels = axes.get_legend_handles_labels()
    legend_outside(axes, handles=handles[::-1], labels=labels[::-1])
    return picture


def _seconds(result: Result, name: str, by: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the latency of each query that counts, and its parts."""
    if by not in _GROUPS:
        raise InputError(f"queries are not split by '{by}'.{did_you_mean(by, _GROUPS)}")
    tables = result.outcome(name).tables
    queries = counted_queries(tables["queries"]) if "queries" in tables else {}
    if not len(queries.get("latency_s", ())):
        raise InputError(f"'{name}' has no answered queries to draw")
    if by == "stage" and "visits" not in tables:
        raise InputError(f"queries of '{name}' go to one pool only; draw them by 'resource'")
    parts = parts_by_resource(queries) if by == "resource" else parts_by_stage(queries, tables["visits"])
    return queries["latency_s"], parts


def _bars(axes: Axes, parts: list[dict[str, float]], colors: Mapping[str, str]) -> None:
    """Stack the parts of each band, the first lowest, and write how long each band takes."""
    totals = np.array([sum(each.values()) for each in parts])
    factor, unit = time_scale(float(totals.max()))
    bottom = np.zeros(len(parts))
    for part in parts[0]:
        heights = factor * np.array([each[part] for each in parts])
        if heights.any():
            label = f"{QUERY_PARTS.get(part, part)}, {percent(parts[0][part] / totals[0])}"
            axes.bar(range(len(parts)), heights, 0.7, bottom, color=colors.get(part, FAINT), label=label)
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
