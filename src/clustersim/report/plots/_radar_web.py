"""The web of a radar: five axes, rings at shares of the time, polygons on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clustersim.report.plots._radar_marks import Look
from clustersim.report.style import INK
from clustersim.study.radar.result import AXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.study.radar import Profile

__all__ = ["draw_polygon", "draw_web", "place"]

_RINGS = (0.1, 0.25, 0.5, 1.0)
_NAMES = {
    "compute": "compute",
    "memory_capacity": "memory\ncapacity\nper FLOP",
    "memory_bandwidth": "memory\nbandwidth",
    "network_bandwidth": "network\nbandwidth",
    "network_latency": "network-\nlatency\nsensitivity",
}
_LABEL_AT = 1.08
_SCALE_AT = 4.5
"""The names of the rings stand half-way between the last axis and the first, where no corner hides them."""


def place(axis: float, value: float) -> tuple[float, float]:
    """Return where a value from 0 to 1 lies on the axis of this number, clockwise from the top.

    *Equation.* r = √value: a share of 3 % is seen.
    """
    angle = math.pi / 2.0 - 2.0 * math.pi * axis / len(AXES)
    radius = math.sqrt(value)
    return radius * math.cos(angle), radius * math.sin(angle)


def draw_web(axes: Axes, *, size: float = 10.0) -> None:
    """Draw axes with their names in letters of this size, and rings with theirs."""
    axes.set(aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.42, 1.25))
    axes.axis("off")
    for ring in _RINGS:
        corners = [place(number, ring) for number in (*range(len(AXES)), 0)]
        edge = ring == 1.0
        axes.plot(
            *zip(*corners, strict=True), color="#999999" if edge else "#CFCFCF", lw=1.0 if edge else 0.8
        )
        x, y = place(_SCALE_AT, ring)
        edge_at = math.cos(math.pi / len(AXES))
        axes.text(
            edge_at * x,
            edge_at * y,
            f"{100 * ring:.0f} %",
            ha="center",
            va="center",
            fontsize=0.75 * size,
            color="#666666",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            zorder=1.8,
        )
    for number, name in enumerate(AXES):
        x, y = place(number, 1.0)
        axes.plot((0.0, x), (0.0, y), color="#CFCFCF", lw=0.8, zorder=1)
        _name(axes, _NAMES[name], x, y, size)


def _name(axes: Axes, words: str, x: float, y: float, size: float) -> None:
    side = "center" if abs(x) < 0.1 else "left" if x > 0.0 else "right"
    upright = "bottom" if y > 0.9 else "center" if y > -0.5 else "top"
    axes.text(
        _LABEL_AT * x, _LABEL_AT * y, words, ha=side, va=upright, fontsize=size, color=INK, linespacing=1.15
    )


def draw_polygon(
    axes: Axes,
    profile: Profile,
    look: Look,
    *,
    width: float = 2.0,
    mark: float = 6.5,
    filled: bool = True,
) -> None:
    """Draw one workload."""
    corners = [place(number, profile.radius(name)) for number, name in enumerate(AXES)]
    x, y = zip(*corners, corners[0], strict=True)
    if filled:
        axes.fill(x, y, color=look.color, alpha=0.09, lw=0)
    axes.plot(
        x,
        y,
        color=look.color,
        ls=look.line,
        lw=width,
        marker=look.mark,
        ms=mark,
        markeredgecolor="white",
        markeredgewidth=0.8,
        label=profile.label,
        solid_joinstyle="round",
    )
