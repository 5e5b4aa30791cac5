"""What multiples of a resource bring: a panel for each resource, a line for each workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from clustersim.errors import InputError
from clustersim.report.plots._radar_marks import Look, looks
from clustersim.report.radar_words import RESOURCES_SHORT
from clustersim.report.style import FAINT, Picture, house_style
from clustersim.study.radar.what_if import FACTORS, WHAT_IF

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.study.radar import Radar
    from clustersim.study.radar.what_if import Curve

__all__ = ["what_if"]

_COLUMNS = 3
_TICKS = {0.25: "¼", 0.5: "½", 1.0: "1", 2.0: "2", 4.0: "4", 8.0: "8"}


@house_style
def what_if(study: Radar) -> Picture:
    """Draw the pace over each resource's speed, both on a scale of doublings.

    A line along the dashed diagonal says that the resource alone decides; a flat one, that it does not
    matter; one that bends at 1, that the bottleneck switches there. Where a line ends the workload
    cannot run: it does not fit.
    """
    if not any(profile.curves for profile in study.profiles):
        raise InputError("the radar was made without what-if runs, so there are no curves to draw")
    look = looks(study.profiles)
    rows = -(-len(WHAT_IF) // _COLUMNS)
    picture = Picture(figsize=(9.6, 0.7 + 3.1 * rows), layout="constrained")
    panels = picture.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    for axes, resource in zip(panels.flat, WHAT_IF, strict=False):
        _frame(axes, RESOURCES_SHORT[resource])
        missing = 0
        for profile in study.profiles:
            if resource in profile.curves:
                _line(axes, profile.label, profile.curves[resource], look[profile.label])
                missing = _missing(
                    axes, profile.label, profile.curves[resource], look[profile.label], missing
                )
    handles, labels = panels[0, 0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside upper center", ncols=min(5, len(labels)), handlelength=3.2)
    picture.supylabel("pace, in times of what it is", fontsize=9.5)
    picture.supxlabel("speed of the resource (memory: size), in times of what it is", fontsize=9.5)
    return picture


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set(xscale="log", yscale="log", xlim=(0.46, 4.35), ylim=(0.42, 4.6))
    axes.plot((0.5, 4.0), (0.5, 4.0), color=FAINT, lw=0.9, ls=(0, (4, 3)))
    axes.axhline(1.0, color=FAINT, lw=0.7)
    for axis, ticks in ((axes.xaxis, FACTORS), (axes.yaxis, FACTORS)):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(
            FuncFormatter(lambda value, _: f"×{_TICKS.get(round(value, 2), f'{value:g}')}")
        )


def _line(axes: Axes, label: str, curve: Curve, look: Look) -> None:
    axes.plot(
        list(curve.gains),
        list(curve.gains.values()),
        color=look.color,
        ls=look.line,
        marker=look.mark,
        lw=1.8,
        ms=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        label=label,
    )


def _missing(axes: Axes, label: str, curve: Curve, look: Look, above: int) -> int:
    """Write at which factors a workload cannot run; return how many such lines there are now."""
    for x in curve.reasons:
        axes.annotate(
            f"{label} cannot run at ×{_TICKS[x]}",
            (4.2, 0.44),
            (0, 11 * above),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=look.color,
        )
        above += 1
    return above
