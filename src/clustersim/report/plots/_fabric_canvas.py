"""The strokes of a picture of the fabric: lines, boxes, numbers, list and colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import FancyBboxPatch

from clustersim.report.plots._fabric_marks import Mark
from clustersim.report.plots._fabric_pipes import Lane
from clustersim.report.plots._fabric_places import WIDTH, Layout, Place
from clustersim.report.style import FAINT, INK, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Canvas"]

_COLORS = ("#D3D6DA", "#F6D77E", "#F9A03F", "#E4572E", "#9B1C31")
"""From an idle link to one at the end of the scale."""
_THIN, _THICK = 0.7, 4.2
_UNCROWDED = 90
"""Lines up to which they are drawn at full width."""
_LINE_IN, _FOOT_IN, _HEAD_IN, _BAR_IN = 0.23, 0.2, 0.45, 0.78
_LETTER_IN = 0.072
"""Width of a letter in a box, inches."""
_SMALLEST_LETTERS = 3.6
"""Points: smaller titles are left out."""
_DARK_FROM = 0.7
"""Of the scale: text on darker boxes is white."""
_ROUND: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.05", "linewidth": 0.8}


class Canvas:
    """A picture with axes in inches for the drawing, and for what stands under it.

    Parameters
    ----------
    layout
        Where the boxes are.
    lanes
        The lines between them.
    top
        Load at the end of the colour scale, 0 to 1.
    listed
        Lines of the list.
    """

    def __init__(self, layout: Layout, lanes: Sequence[Lane], *, top: float, listed: int) -> None:
        self._layout = layout
        self._lanes = lanes
        self._top = top
        reach = [lane.points[:, 1] for lane in lanes]
        low = min([0.0, *(float(y.min()) - 0.1 for y in reach)])
        high = max([layout.height, *(float(y.max()) + 0.1 for y in reach)])
        foot = _FOOT_IN + _LINE_IN * listed + _BAR_IN
        height = high - low + foot + _HEAD_IN
        self.picture = Picture(figsize=(WIDTH, height))
        self._axes = self._inches(foot, (low, high))
        self._below = self._inches(0.0, (0.0, foot))
        self._colors = LinearSegmentedColormap.from_list("load", _COLORS)

    def _inches(self, bottom: float, span: tuple[float, float]) -> Axes:
        height = self.picture.get_figheight()
        axes = self.picture.add_axes((0.0, bottom / height, 1.0, (span[1] - span[0]) / height))
        axes.set(xlim=(0.0, WIDTH), ylim=span)
        axes.set_axis_off()
        return axes

    def title(self, text: str) -> None:
        """Write the title over the drawing."""
        self._axes.set_title(text, x=0.12 / WIDTH, pad=6)

    def lanes(self) -> None:
        """Draw the lines, the most loaded on top."""
        ordered = sorted(self._lanes, key=lambda lane: lane.load)
        share = np.array([min(lane.load / self._top, 1.0) for lane in ordered])
        crowd = max(1.0, len(ordered) / _UNCROWDED) ** 0.6
        strokes = LineCollection(
            [lane.points for lane in ordered],
            colors=self._colors(share),
            linewidths=_THIN / crowd**0.5 + (_THICK - _THIN) * share / crowd,
            capstyle="butt",
            zorder=2,
        )
        self._axes.add_collection(strokes)

    def boxes(self, loads: Sequence[float | None]) -> None:
        """Draw the boxes in the colour of the most loaded link inside; None: there is none."""
        for frame in self._layout.frames:
            size = (frame.right - frame.left, frame.high - frame.low)
            outline = FancyBboxPatch(
                (frame.left, frame.low), *size, facecolor="#F7F8FA", edgecolor="#B9C0C8", zorder=0, **_ROUND
            )
            self._axes.add_patch(outline)
            self._axes.text(frame.left + 0.08, frame.low + 0.06, frame.title, fontsize=8.5, color=FAINT)
        for place, load in zip(self._layout.places, loads, strict=True):
            self._box(place, 0.0 if load is None else min(load / self._top, 1.0))
        for y, name in self._layout.names:
            self._axes.text(0.12, y, name, va="center", fontsize=9, linespacing=1.35)

    def _box(self, place: Place, share: float) -> None:
        low = (place.x - place.width / 2, place.y - place.height / 2)
        color = self._colors(share) if share else "white"
        look = {**_ROUND, "boxstyle": f"round,pad=0,rounding_size={min(0.05, 0.2 * place.height)}"}
        patch = FancyBboxPatch(
            low, place.width, place.height, facecolor=color, edgecolor="#5A6470", zorder=3, **look
        )
        self._axes.add_patch(patch)
        size = min(8.0, 8.0 * place.width / (_LETTER_IN * max(len(place.label), 1)))
        if size < _SMALLEST_LETTERS:
            return
        ink = "white" if share > _DARK_FROM else INK
        self._axes.text(
            place.x,
            place.y,
            place.label,
            ha="center",
            va="center_baseline",
            fontsize=size,
            color=ink,
            zorder=4,
        )

    def marks(self, marks: Sequence[Mark]) -> None:
        """Number the marked lines, and list them under the drawing."""
        top = self._below.get_ylim()[1]
        for number, mark in enumerate(marks, start=1):
            y = top - _FOOT_IN - _LINE_IN * (number - 0.5)
            self._number(self._axes, *mark.at, number)
            self._number(self._below, 0.25, y, number)
            self._below.text(0.45, y, mark.text, va="center_baseline", fontsize=8.5)

    @staticmethod
    def _number(axes: Axes, x: float, y: float, number: int) -> None:
        look = {"boxstyle": "circle,pad=0.22", "facecolor": INK, "edgecolor": "white", "linewidth": 0.8}
        axes.text(
            x, y, str(number), ha="center", va="center", fontsize=6.5, color="white", bbox=look, zorder=6
        )

    def color_bar(self, words: str, note: str) -> None:
        """Draw the scale at the bottom, with a note on what lines and boxes are."""
        height = self.picture.get_figheight()
        inset = self.picture.add_axes((0.15 / WIDTH, 0.42 / height, 3.2 / WIDTH, 0.13 / height))
        percents = ScalarMappable(Normalize(0.0, 100 * self._top), self._colors)
        bar = self.picture.colorbar(percents, cax=inset, orientation="horizontal")
        bar.set_label(f"utilisation, {words} (%)", fontsize=8.5, labelpad=1)
        bar.outline.set_visible(False)
        inset.tick_params(labelsize=8, length=2, pad=2)
        inset.grid(visible=False)
        self._below.text(3.75, 0.47, note, va="center", fontsize=8, color="#777777", linespacing=1.4)
