"""How well the engines of a service were used, and how many requests waited for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.plots.kv_occupancy import binned_mean
from clustersim.report.style import SERIES, Picture, house_style, stacked_picture, time_axis

if TYPE_CHECKING:
    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = ["engine_use"]

_POINTS = 300
_PANELS = (
    ("queue_length", 1.0, "requests waiting"),
    ("mfu", 100.0, "FLOPs used (%)"),
    ("mbu", 100.0, "memory bandwidth\nused (%)"),
)


@house_style
def engine_use(result: Result, name: str) -> Picture:
    """Draw waiting requests, MFU and MBU over time: the mean over replicas, and their range."""
    table = result.outcome(name).tables.get("steps")
    if table is None or not len(table["end_s"]):
        raise InputError(f"'{name}' has no engine steps to draw")
    shown = [panel for panel in _PANELS if panel[0] in table]
    picture, panels = stacked_picture(len(shown), 8.6, 2.0)
    edges = np.linspace(float(table["start_s"].min()), float(table["end_s"].max()), _POINTS + 1)
    replicas = np.unique(table["replica"])
    for axes, (column, factor, words), color in zip(panels, shown, SERIES, strict=False):
        means = np.array([_of_replica(table, column, replica, edges) for replica in replicas]) * factor
        if len(replicas) > 1:
            axes.fill_between(edges[:-1], means.min(axis=0), means.max(axis=0), color=color, alpha=0.2, lw=0)
        axes.step(edges[:-1], means.mean(axis=0), where="post", lw=1.3, color=color)
        axes.set(ylabel=words)
        axes.set_ylim(bottom=0)
    panels[0].set_title(f"{name}: queue and use of the GPUs over time")
    time_axis(panels[-1], "time")
    return picture


def _of_replica(table: Table, column: str, replica: int, edges: np.ndarray) -> np.ndarray:
    mine = table["replica"] == replica
    return binned_mean(table["start_s"][mine], table["end_s"][mine], table[column][mine], edges)
