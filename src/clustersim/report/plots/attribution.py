"""Which resources took the time of each workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError
from clustersim.report.style import (
    GREEN,
    INK,
    RESOURCE_COLORS,
    Picture,
    house_style,
    legend_below,
    new_picture,
)
from clustersim.results.attribution import by_class
from clustersim.results.bottleneck import RESOURCE_NAMES

if TYPE_CHECKING:
    from clustersim.results import Result

__all__ = ["attribution"]

_LEAST_LABELLED = 0.055
_DARK = {RESOURCE_COLORS["compute"], RESOURCE_COLORS["network_latency"]}


@house_style
def attribution(result: Result) -> Picture:
    """Draw one bar per workload: the shares of its time by resource class, which add up to 100 %."""
    shares = {
        name: by_class(outcome.attribution)
        for name, outcome in result.outcomes.items()
        if outcome.attribution
    }
    if not shares:
        raise InputError("nothing was finished, so there is no time to attribute")
    picture, axes = new_picture(8.6, 1.5 + 0.55 * len(shares))
    known = [*RESOURCE_NAMES]
    resources = sorted(
        {resource for one in shares.values() for resource in one}, key=lambda r: (r not in known, r)
    )
    resources.sort(key=lambda resource: known.index(resource) if resource in known else len(known))
    left = np.zeros(len(shares))
    for resource in resources:
        values = np.array([100 * one.get(resource, 0.0) for one in shares.values()])
        color = RESOURCE_COLORS.get(resource, GREEN)
        axes.barh(list(shares), values, 0.62, left, color=color, label=RESOURCE_NAMES.get(resource, resource))
        for row, value in enumerate(values):
            if value >= 100 * _LEAST_LABELLED:
                ink = "white" if color in _DARK else INK
                axes.text(left[row] + value / 2, row, f"{value:.0f} %", ha="center", va="center", color=ink)
        left += values
    axes.invert_yaxis()
    axes.set_title("Where the time goes: critical paths by resource")
    axes.set(xlim=(0, 100), xlabel="share of iteration time (training) or request time (inference), %")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    legend_below(axes)
    return picture
