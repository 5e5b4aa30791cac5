"""How full the KV cache was, and how many requests ran together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.style import SERIES, Picture, house_style, stacked_picture, time_axis

if TYPE_CHECKING:
    from clustersim.results import Result

__all__ = ["kv_occupancy"]

_POINTS = 500
_PANELS = (("kv_used_fraction", 100.0, "KV cache used (%)"), ("batch", 1.0, "batch (requests)"))


@house_style
def kv_occupancy(result: Result, name: str) -> Picture:
    """Draw KV occupancy and batch over time, a line per replica: means while its engine is busy."""
    table = result.outcome(name).tables.get("steps")
    if table is None or not len(table["end_s"]):
        raise InputError(f"'{name}' has no engine steps to draw")
    picture, panels = stacked_picture(len(_PANELS), 8.6, 2.3)
    edges = np.linspace(float(table["start_s"].min()), float(table["end_s"].max()), _POINTS + 1)
    replicas = np.unique(table["replica"])
    for axes, (column, factor, words) in zip(panels, _PANELS, strict=True):
        for number, replica in enumerate(replicas):
            mine = table["replica"] == replica
            means = binned_mean(table["start_s"][mine], table["end_s"][mine], table[column][mine], edges)
            color = SERIES[number % len(SERIES)]
            axes.step(
                edges[:-1], factor * means, where="post", lw=1.2, color=color, label=f"replica {replica}"
            )
        axes.set(ylabel=words)
        axes.set_ylim(bottom=0)
    panels[0].set_title(f"{name}: KV cache and batch over time")
    if len(replicas) > 1:
        panels[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    time_axis(panels[-1], "time")
    return picture


def binned_mean(start_s: np.ndarray, end_s: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return means over bins, weighted by time, of a value that holds from start to end.

    *Equation.* With F(t) = Σ value·(min(t, end) − start)⁺, and G the same of the value 1, the
    mean of a bin is (F(b) − F(a)) / (G(b) − G(a)), and 0 where nothing ran in it.
    """
    order = np.argsort(start_s, kind="stable")
    start_s, end_s, values = start_s[order], end_s[order], values[order].astype(float)
    knots = np.stack((start_s, end_s), axis=1).ravel()

    def integral(heights: np.ndarray) -> np.ndarray:
        area = np.cumsum(heights * (end_s - start_s))
        at_knots = np.stack((np.concatenate(([0.0], area[:-1])), area), axis=1).ravel()
        return np.asarray(np.diff(np.interp(edges, knots, at_knots)))

    total, covered = integral(values), integral(np.ones_like(values))
    return np.asarray(np.divide(total, covered, out=np.zeros_like(total), where=covered > 1e-12))
