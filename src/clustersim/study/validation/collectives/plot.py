"""Picture of bus bandwidth against message size, measured and simulated: one panel per system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.study.validation.collectives.rows import CollectiveRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_collectives"]

_MOST_COLUMNS = 4
_COLOURS = {
    "all_reduce": "#4477AA",
    "all_gather": "#EE6677",
    "reduce_scatter": "#228833",
    "all_to_all": "#AA3377",
    "broadcast": "#CCBB44",
    "reduce": "#777777",
    "send_recv": "#66CCEE",
    "kernel": "#EE7733",
}
_MARKS = "osD^vP*X"
_SIZES = (
    (2**3, "8 B"),
    (2**10, "1 KiB"),
    (2**15, "32 KiB"),
    (2**20, "1 MiB"),
    (2**25, "32 MiB"),
    (2**30, "1 GiB"),
)
_TITLE_WIDTH = 46
_LEAST_SPAN = 10.0
"""Ratio that a panel's bandwidths span at least, so that few alike points do not look far apart."""


def plot_collectives(rows: Sequence[CollectiveRow]) -> Figure:
    """Draw bus bandwidth over message size; marks are measured, lines simulated.

    A system is a name in the table and a number of nodes. Colours tell collectives apart, marks
    the number of GPUs.
    """
    from matplotlib.figure import Figure

    panels: dict[tuple[str, int], list[CollectiveRow]] = {}
    for row in rows:
        panels.setdefault((row.system, row.nodes), []).append(row)
    columns = max(1, min(_MOST_COLUMNS, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(3.9 * columns, 2.9 * lines + 1.1), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    marks = {ranks: _MARKS[n % len(_MARKS)] for n, ranks in enumerate(sorted({row.ranks for row in rows}))}
    for axes, ((system, _), members) in zip(grid.flat, panels.items(), strict=False):
        _draw(axes, members, marks)
        axes.set_title(_title(system, members), fontsize=8, loc="left")
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle("Bus bandwidth over message size: measured (marks) and simulated (lines)", fontsize=12)
    figure.supylabel("bus bandwidth (GB/s)", fontsize=10)
    _legend(figure, rows, marks)
    return figure


def _title(system: str, rows: Sequence[CollectiveRow]) -> str:
    """The system's name, and below it what was understood, for any number of its GPUs."""
    hardware = rows[0].hardware.partition(" (")[0] if rows[0].nodes == 1 else rows[0].hardware
    return "\n".join(
        line if len(line) <= _TITLE_WIDTH else line[: _TITLE_WIDTH - 1] + "…" for line in (system, hardware)
    )


def _look(row: CollectiveRow) -> str:
    """What a colour stands for: the collective, or the kernel of a serving engine."""
    return "kernel" if "custom" in row.library.lower() else row.kind


def _draw(axes: Axes, rows: Sequence[CollectiveRow], marks: dict[int, str]) -> None:
    for members in _curves(rows):
        colour = _COLOURS.get(_look(members[0]), "#000000")
        sizes, measured, predicted = _bandwidths(members)
        axes.plot(
            sizes,
            measured,
            color=colour,
            marker=marks[members[0].ranks],
            ls="none",
            ms=3,
            mfc="none",
            mew=0.7,
        )
        axes.plot(sizes, predicted, color=colour, lw=1.0, marker="_" if len(members) == 1 else "")
    axes.set(xscale="log", yscale="log")
    low, high = axes.get_ylim()
    widen = max(1.0, _LEAST_SPAN * low / high) ** 0.5
    axes.set_ylim(low / widen, high * widen)
    low, high = axes.get_xlim()
    ticks = [(size, text) for size, text in _SIZES if low <= size <= high]
    axes.set_xticks([size for size, _ in ticks], [text for _, text in ticks], fontsize=7)
    axes.minorticks_off()
    axes.tick_params(labelsize=7)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _curves(rows: Sequence[CollectiveRow]) -> Iterator[list[CollectiveRow]]:
    """Rows of one table each, by size."""
    for table in dict.fromkeys(row.table for row in rows):
        yield sorted((row for row in rows if row.table == table), key=lambda row: row.x or 0.0)


def _bandwidths(rows: Sequence[CollectiveRow]) -> np.ndarray:
    """Sizes, and bus bandwidths measured and predicted in GB/s."""
    table = np.array([(row.x, row.measured, row.predicted, row.bus_factor) for row in rows], dtype=float)
    sizes, factors = table[:, 0], table[:, 3]
    return np.array([sizes, *(1e-3 * factors * sizes / table[:, column] for column in (1, 2))])


def _legend(figure: Figure, rows: Sequence[CollectiveRow], marks: dict[int, str]) -> None:
    from matplotlib.lines import Line2D

    used = [look for look in _COLOURS if look in set(map(_look, rows))]
    names = {"kernel": "all-reduce by a serving engine's kernel"}
    handles = [
        Line2D([], [], color=_COLOURS[look], label=names.get(look, look.replace("_", "-"))) for look in used
    ]
    handles += [
        Line2D([], [], color="0.3", marker=mark, ls="none", mfc="none", label=f"{ranks} GPUs")
        for ranks, mark in marks.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
