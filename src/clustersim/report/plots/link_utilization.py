"""When links were busy: a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.numbers import round_up
from clustersim.report.style import INK, Picture, house_style, new_picture, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import FabricReport, Result

__all__ = ["link_utilization", "scale_end"]

_LEAST_END = 1.0


@house_style
def link_utilization(result: Result, *, links: int = 24) -> Picture:
    """Draw the utilisation of the `links` busiest links over time, grouped by tier."""
    fabric = result.fabric
    if not fabric.names or not fabric.utilization.shape[1]:
        raise InputError("no link carried anything, there is nothing to draw")
    chosen = _by_tier(fabric, links)
    picture, axes = new_picture(9.2, 1.5 + 0.21 * len(chosen))
    mesh = axes.pcolormesh(
        fabric.bin_edges_s,
        np.arange(len(chosen) + 1),
        100 * fabric.utilization[chosen],
        cmap="YlOrRd",
        vmin=0,
        vmax=scale_end(fabric.utilization[chosen]),
        rasterized=True,
    )
    _label_rows(axes, fabric, chosen)
    shown = "all" if len(chosen) == len(fabric.names) else f"the {len(chosen)} busiest of"
    axes.set_title(f"Utilisation of links over time ({shown} {len(fabric.names)} in use)")
    axes.grid(visible=False)
    axes.invert_yaxis()
    time_axis(axes, "time")
    bar = picture.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
    bar.set_label("utilisation (%)")
    bar.outline.set_visible(False)
    return picture


def scale_end(utilization: np.ndarray) -> float:
    """Return where the colours end (%): 100, or 50, 20, 10, … where no link ever gets there."""
    highest = 100 * float(utilization.max())
    return min(100.0, round_up(max(highest, _LEAST_END)))


def _by_tier(fabric: FabricReport, links: int) -> list[int]:
    """The busiest links; tiers in the order of their busiest link, links by name inside."""
    ranking = [int(index) for index in fabric.ranking()[:links]]
    tiers = list(dict.fromkeys(fabric.tiers[index] for index in ranking))
    return sorted(ranking, key=lambda index: (tiers.index(fabric.tiers[index]), ranking.index(index)))


def _label_rows(axes: Axes, fabric: FabricReport, chosen: list[int]) -> None:
    names = [fabric.names[index] for index in chosen]
    axes.set_yticks(np.arange(len(chosen)) + 0.5, names, fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    tiers = [fabric.tiers[index] for index in chosen]
    for tier in dict.fromkeys(tiers):
        first, size = tiers.index(tier), tiers.count(tier)
        if first:
            axes.axhline(first, color=INK, lw=1.2)
        axes.annotate(
            tier,
            (1.01, first + size / 2),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=INK,
        )
