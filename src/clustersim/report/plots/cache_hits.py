"""What a prefix cache found of the prompts, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.style import BLUE, CYAN, Picture, house_style, new_picture, time_axis

if TYPE_CHECKING:
    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["cache_hits"]

_BINS = 60


@house_style
def cache_hits(result: Result, name: str) -> Picture:
    """Draw which share of the prompts was found in GPU memory, and in lower tiers, over time."""
    table = result.outcome(name).tables.get("kv_cache")
    if table is None or not len(table["time_s"]):
        raise InputError(f"'{name}' has no prefix cache, or nothing was admitted to it")
    edges = np.linspace(float(table["time_s"].min()), float(table["time_s"].max()), _BINS + 1)
    asked, found, fetched = (
        np.sum([_increase(table, column, replica, edges) for replica in np.unique(table["replica"])], axis=0)
        for column in ("prompt_tokens", "found_tokens", "fetched_tokens")
    )
    some = asked > 0
    picture, axes = new_picture(8.6, 3.2)
    in_memory = 100.0 * np.divide(found, asked, out=np.zeros(_BINS), where=some)
    below = in_memory + 100.0 * np.divide(fetched, asked, out=np.zeros(_BINS), where=some)
    axes.fill_between(edges[:-1], in_memory, step="post", color=BLUE, alpha=0.75, lw=0, label="in GPU memory")
    if fetched.any():
        axes.fill_between(
            edges[:-1], in_memory, below, step="post", color=CYAN, alpha=0.75, lw=0, label="in lower tiers"
        )
    axes.set(ylabel="prompt tokens found (%)", ylim=(0, 100), xlim=(edges[0], edges[-1]))
    axes.set_title(f"{name}: hit rate of the prefix cache over time")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    time_axis(axes, "time of admission")
    return picture


def _increase(table: Table, column: str, replica: int, edges: np.ndarray) -> np.ndarray:
    """By how much a count of a replica rises in each bin."""
    mine = table["replica"] == replica
    return np.diff(np.interp(edges, table["time_s"][mine], table[column][mine], left=0.0))
