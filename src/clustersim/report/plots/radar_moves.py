"""How a radar moves: a small web for each workload, with a polygon for each of several radars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib import colormaps

from clustersim.errors import InputError
from clustersim.report.plots._radar_marks import Look
from clustersim.report.plots._radar_web import draw_polygon, draw_web
from clustersim.report.style import INK, Picture, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.study.radar import Radar

__all__ = ["moves"]

_COLUMNS = 3
_WEB_INCHES = 3.3
_HEAD_INCHES = 0.7
_LINES = ("-", (0, (4, 1.5)), (0, (1.5, 1)), "-", (0, (7, 2, 1.5, 2)))
_MARKS = "v^sDo"
_WIDTHS = (4.2, 3.0, 2.0, 1.3, 1.0)
_LIGHTEST, _DARKEST = 0.75, 0.05
"""Part of the colour map that is used: from a light tone for the first radar to a dark one for the last."""


@house_style
def moves(radars: Mapping[str, Radar], *, title: str, subtitle: str = "") -> Picture:
    """Draw how the needs of each workload change from one radar to the next.

    Parameters
    ----------
    radars
        By what was changed (`100 Gbit/s`, `200 Gbit/s`, …), in order, five at the most. A workload that one
        of them left out has no polygon for it.
    subtitle
        Hardware, scale and plan that all radars share.

    Raises
    ------
    InputError
        For no radar, or more than five.
    """
    if not 1 <= len(radars) <= len(_MARKS):
        raise InputError(f"from 1 to {len(_MARKS)} radars can be told apart, got {len(radars)}")
    labels = list(dict.fromkeys(each.label for radar in radars.values() for each in radar.profiles))
    rows = -(-(len(labels) + 1) // _COLUMNS)
    height = _HEAD_INCHES + rows * _WEB_INCHES
    picture = Picture(figsize=(_COLUMNS * _WEB_INCHES, height))
    top = 1.0 - _HEAD_INCHES / height
    picture.text(0.02, 1.0 - 0.14 / height, title, va="top", fontsize=13, fontweight="bold", color=INK)
    picture.text(0.02, 1.0 - 0.42 / height, subtitle, va="top", fontsize=8.5, color="#555555")
    look = _looks(len(radars))
    for number, label in enumerate([*labels, ""]):
        row, column = divmod(number, _COLUMNS)
        box = (column / _COLUMNS, top * (1.0 - (row + 1) / rows), 1.0 / _COLUMNS, top / rows * 0.94)
        axes = picture.add_axes(box)
        if label:
            _web(axes, label, radars, look)
        else:
            _key(axes, radars, look)
    return picture


def _web(axes: Axes, label: str, radars: Mapping[str, Radar], look: Sequence[Look]) -> None:
    """Draw one workload: earlier radars wide and light, so that they show under later ones."""
    draw_web(axes, size=7.5)
    axes.set_title(label, loc="center", fontsize=10.5, pad=0)
    paces: list[float | None] = []
    for number, (radar, own) in enumerate(zip(radars.values(), look, strict=True)):
        profile = next((each for each in radar.profiles if each.label == label), None)
        paces.append(None if profile is None else profile.need.units_per_s)
        if profile is not None:
            draw_polygon(axes, profile, own, width=_WIDTHS[number], mark=4.5, filled=False)
    axes.text(0.0, -1.32, _pace_words(paces), ha="center", fontsize=7.5, color="#555555")


def _pace_words(paces: Sequence[float | None]) -> str:
    """Write how the pace changes, in times of the first that there is."""
    first = next(pace for pace in paces if pace is not None)
    return f"pace: {', '.join('-' if pace is None else f'×{pace / first:.3g}' for pace in paces)}"


def _key(axes: Axes, radars: Mapping[str, Radar], look: Sequence[Look]) -> None:
    axes.axis("off")
    for number, (name, own) in enumerate(zip(radars, look, strict=True)):
        width = _WIDTHS[number]
        axes.plot([], [], color=own.color, ls=own.line, marker=own.mark, lw=width, ms=5.5, label=name)
    axes.legend(loc="center", fontsize=10.5, handlelength=4.5, labelspacing=0.9)


def _looks(count: int) -> list[Look]:
    """Return light to dark tones with a line and a mark each."""
    tones = colormaps["cividis_r"]
    places = [number / max(1, count - 1) for number in range(count)]
    return [
        Look(
            tones(1.0 - _LIGHTEST + (_LIGHTEST - _DARKEST) * place),
            _LINES[number],
            _MARKS[number],
        )
        for number, place in enumerate(places)
    ]
