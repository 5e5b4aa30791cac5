"""The batches of a ranking service: how large they are, and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.report.numbers import count, time_scale
from clustersim.report.style import BLUE, FAINT, GREY, YELLOW, Picture, house_style, stacked_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["batches"]

_BINS = 40
_LEVELS = (5.0, 95.0)


@house_style
def batches(result: Result, name: str, *, pool: str | None = None) -> Picture:
    """Draw how many samples the batches hold, and what a batch takes by its size.

    The time of a batch is that of its kernels, what it waited for other batches on the device, and the
    rest: the host, copies and the network. Bars are means; whiskers go from the 5th to the 95th percentile.

    Parameters
    ----------
    pool
        Of a service with several: which one. Default: all together.
    """
    outcome = result.outcome(name)
    table = outcome.tables.get("batches", {})
    if not len(table.get("samples", ())):
        raise InputError(f"'{name}' has no batches to draw")
    if pool is not None:
        table = _of_pool(table, name, pool)
    picture, (sizes, times) = stacked_picture(2, 8.6, 2.5)
    edges = _edges(table["samples"])
    _sizes(sizes, table, edges, limit=float(outcome.facts.get("max_samples", 0.0)) if pool is None else 0.0)
    _times(times, table, edges)
    mean = float(table["samples"].mean())
    who = name if pool is None else f"{name}, {pool}"
    sizes.set_title(f"{who}: {count(len(table['samples']))} batches of {mean:,.0f} samples on average")
    return picture


def _of_pool(table: Table, name: str, pool: str) -> Table:
    pools = np.asarray(table.get("pool", []))
    if pool not in pools:
        raise InputError(f"'{name}' has no pool '{pool}'.{did_you_mean(pool, set(pools.tolist()))}")
    return {column: np.asarray(values)[pools == pool] for column, values in table.items()}


def _edges(samples: np.ndarray) -> np.ndarray:
    """Return edges of bins, the first and the last around the smallest and the largest batch."""
    low, high = float(samples.min()), float(samples.max())
    bins = int(min(_BINS, high - low + 1))
    width = (high - low) / (bins - 1) if bins > 1 else 1.0
    edges: np.ndarray = low + width * (np.arange(bins + 1) - 0.5)
    return edges


def _sizes(axes: Axes, table: Table, edges: np.ndarray, *, limit: float) -> None:
    shares = 100.0 * np.histogram(table["samples"], edges)[0] / len(table["samples"])
    axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=BLUE, edgecolor="white", lw=0.3)
    if edges[0] < limit <= 1.1 * edges[-1]:
        axes.axvline(limit, color=FAINT, lw=1.0, ls="--", label="largest batch allowed")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set(ylabel="batches (%)")


def _times(axes: Axes, table: Table, edges: np.ndarray) -> None:
    """Stack the mean parts of the time of the batches in each bin."""
    place = np.clip(np.digitize(table["samples"], edges) - 1, 0, len(edges) - 2)
    whole_s = table["end_s"] - table["start_s"]
    rest_s = np.maximum(whole_s - table["kernels_s"] - table["waited_s"], 0.0)
    parts = (
        ("kernels", table["kernels_s"], BLUE),
        ("host, copies, network", rest_s, YELLOW),
        ("waiting for other batches", table["waited_s"], GREY),
    )
    number = np.bincount(place, minlength=len(edges) - 1)
    some = np.flatnonzero(number)
    factor, unit = time_scale(float(whole_s.max()))
    bottom = np.zeros(len(some))
    for label, seconds, color in parts:
        heights = factor * np.bincount(place, weights=seconds, minlength=len(number))[some] / number[some]
        if heights.any():
            axes.bar(
                edges[some], heights, np.diff(edges)[some], bottom, align="edge", color=color, label=label
            )
            bottom += heights
    low, high = (
        factor * np.array([np.percentile(whole_s[place == each], level) for each in some])
        for level in _LEVELS
    )
    axes.vlines(edges[some] + np.diff(edges)[some] / 2, low, high, color="#333333", lw=0.9)
    axes.set(xlabel="samples in the batch", ylabel=f"time ({unit})")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
