"""Pictures of collectives against message size: one panel per system and kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.study.validation.collectives import CollectiveRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_collectives"]

_MARKERS = "os^Dvx+*"
_MOST_COLUMNS = 4
_SIZES = (
    (2**10, "1 KiB"),
    (2**15, "32 KiB"),
    (2**20, "1 MiB"),
    (2**25, "32 MiB"),
    (2**30, "1 GiB"),
    (2**34, "16 GiB"),
)


def plot_collectives(rows: Sequence[CollectiveRow]) -> Figure:
    """Time above and bus bandwidth below against message size; marks measured, lines simulated."""
    from matplotlib.figure import Figure

    panels: dict[tuple[str, str], list[CollectiveRow]] = {}
    for row in rows:
        panels.setdefault((row.system, row.kind), []).append(row)
    columns = max(1, min(_MOST_COLUMNS, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(4.4 * columns + 0.6, 4.6 * lines + 0.5), layout="constrained")
    figure.suptitle("Collectives: measured (marks) and simulated (lines)", fontsize=13)
    cells = figure.subfigures(lines, columns, squeeze=False)
    for cell, ((system, kind), members) in zip(cells.flat, panels.items(), strict=False):
        time, bandwidth = cell.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        time.set_title(f"{kind.replace('_', '-')}, {system}", fontsize=9)
        _draw(time, bandwidth, members)
    return figure


def _draw(time: Axes, bandwidth: Axes, rows: Sequence[CollectiveRow]) -> None:
    colours = {ranks: f"C{index}" for index, ranks in enumerate(sorted({row.ranks for row in rows}))}
    for index, (table, members) in enumerate(_by_table(rows)):
        ranks, marker = members[0].ranks, _MARKERS[index % len(_MARKERS)]
        for axes, values in zip(
            (time, bandwidth), _curves(members, [row.measured for row in members]), strict=True
        ):
            axes.plot(*values, color=colours[ranks], marker=marker, ls="none", ms=4, mfc="none",
                      label=f"{_short(table)}, {ranks} GPUs")  # fmt: skip
    for ranks, colour in colours.items():
        members = sorted((row for row in rows if row.ranks == ranks), key=lambda row: row.x or 0.0)
        for axes, values in zip(
            (time, bandwidth), _curves(members, [row.predicted for row in members]), strict=True
        ):
            axes.plot(*values, color=colour, lw=1.4)
    _label(time, bandwidth)


def _curves(rows: Sequence[CollectiveRow], times_us: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Size and time, and size and bus bandwidth in GB/s, as rows of two arrays."""
    sizes, times = np.array([row.x for row in rows], dtype=float), np.array(times_us, dtype=float)
    factors = np.array([row.bus_factor for row in rows])
    return np.array([sizes, times]), np.array([sizes, 1e-3 * factors * sizes / times])


def _by_table(rows: Sequence[CollectiveRow]) -> Iterator[tuple[str, list[CollectiveRow]]]:
    for table in dict.fromkeys(row.table for row in rows):
        yield table, [row for row in rows if row.table == table]


def _short(table: str) -> str:
    """`AIC-h100_sxm-all_reduce-8` is too long for a legend: its first word says which set it is of."""
    return table.split("-")[0]


def _label(time: Axes, bandwidth: Axes) -> None:
    time.set(xscale="log", yscale="log", ylabel="time (us)")
    bandwidth.set(xlabel="message size", ylabel="bus bandwidth (GB/s)", ylim=(0, None))
    low, high = time.get_xlim()
    ticks = [(size, text) for size, text in _SIZES if low <= size <= high]
    bandwidth.set_xticks([size for size, _ in ticks], [text for _, text in ticks], fontsize=8)
    bandwidth.minorticks_off()
    for axes in (time, bandwidth):
        axes.grid(alpha=0.25, lw=0.5)
        axes.tick_params(labelsize=8)
    time.legend(fontsize=7, frameon=False)
