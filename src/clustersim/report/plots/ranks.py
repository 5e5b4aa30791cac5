"""What each rank of a ranking job does in a step: the slowest shard, and who waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import duration, percent, time_scale
from clustersim.report.plots.iteration_breakdown import PART_COLORS
from clustersim.report.style import BLUE, INK, Picture, house_style, stacked_picture
from clustersim.report.words import RANKING_BREAKDOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["ranks"]

_TOUCHING = 48
"""With more bars than this there are no gaps between them."""
_WIDEST = 14.0


@house_style
def ranks(result: Result, name: str) -> Picture:
    """Draw the parts of a step on each rank as stacked bars, and above it what each has to look up.

    Bars are as high as the step; a rank with little to do shows a large part of waiting. The ranks whose
    tables take longest, and thus hold up the others, are marked.
    """
    table = result.outcome(name).tables.get("ranks")
    if table is None or "embedding_s" not in table or not np.any(table["embedding_s"]):
        raise InputError(f"'{name}' has no ranks of a ranking job to draw")
    count = len(table["rank"])
    slowest = int(np.argmax(table["embedding_s"]))
    picture, (lookups, times) = stacked_picture(2, min(max(8.6, 5.4 + 0.2 * count), _WIDEST), 2.4)
    width = 0.8 if count <= _TOUCHING else 1.0
    _lookups(lookups, table, slowest, width)
    _times(times, table, width)
    mean_s = float(table["embedding_s"].mean())
    most = duration(float(table["embedding_s"][slowest]))
    ratio = float(table["embedding_s"][slowest]) / mean_s
    lookups.set_title(
        f"{name}: tables take {most} on rank {slowest}, {ratio:.2f} times the mean of {count} ranks"
    )
    step = -(-count // 24)
    times.set_xticks(range(0, count, step), [str(rank) for rank in range(0, count, step)])
    times.set_xlabel("rank")
    times.set_xlim(-0.7, count - 0.3)
    return picture


def _lookups(axes: Axes, table: Table, slowest: int, width: float) -> None:
    """Draw look-ups of each rank, in millions, with their mean."""
    millions = np.asarray(table["lookups"], dtype=float) / 1e6
    axes.bar(table["rank"], millions, width, color=BLUE)
    axes.axhline(float(millions.mean()), color=INK, lw=1.0, ls="--", label="mean of all ranks")
    marked = f"slowest tables: rank {slowest}"
    height = float(millions[slowest] + 0.07 * millions.max())
    axes.plot(slowest, height, "v", color=INK, ms=6, ls="none", label=marked)
    axes.set(ylabel="rows looked up\nin a step (million)")
    axes.set_ylim(0.0, 1.15 * float(millions.max()) or 1.0)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _times(axes: Axes, table: Table, width: float) -> None:
    shown = [(column, words) for column, words in RANKING_BREAKDOWN if np.any(table[column])]
    total_s = np.sum([table[column] for column, _ in shown], axis=0)
    factor, unit = time_scale(float(total_s.max()))
    bottom = np.zeros(len(total_s))
    for column, words in shown:
        heights, color = factor * np.asarray(table[column], dtype=float), PART_COLORS[column]
        label = f"{words}, {percent(float(table[column].sum() / total_s.sum()))}"
        axes.bar(table["rank"], heights, width, bottom, color=color, edgecolor=color, lw=0.2, label=label)
        bottom += heights
    axes.set(ylabel=f"time in a step ({unit})")
    axes.set_ylim(0.0, 1.05 * float(bottom.max()))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, alignment="left")
