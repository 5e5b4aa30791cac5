"""Where the boxes of a picture of the fabric stand: inches from its lower left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.report.plots._fabric_boxes import Box, Row

__all__ = ["HIGHEST", "LEFT", "RIGHT", "WIDTH", "Frame", "Layout", "Place", "in_rows", "short_labels"]

WIDTH = 11.5
LEFT, RIGHT = 1.15, 11.3
HIGHEST = 8.0
_BOX_HEIGHT, _SMALL_HEIGHT = 0.36, 0.27
_WIDEST_BOX, _WIDEST_ALONE = 1.25, 5.0
_PITCH, _INSIDE_PITCH, _ABOVE_NODES = 1.35, 0.82, 1.25
_FRAME_EDGE = 0.17
_LETTER_IN = 0.07


@dataclass(frozen=True)
class Place:
    """A box, what is written in it, and where it is: centre and size."""

    box: Box
    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Frame:
    """The outline of a node that is drawn open."""

    title: str
    left: float
    low: float
    right: float
    high: float


@dataclass(frozen=True)
class Layout:
    """Places, the names of rows at their heights, and outlines."""

    places: tuple[Place, ...]
    names: tuple[tuple[float, str], ...]
    frames: tuple[Frame, ...]
    height: float
    in_tiers: bool = True
    """False: places stand in a grid or on a ring, and lines run from centre to centre."""
    cells: tuple[tuple[int, int, int], ...] = ()
    """Column, row and layer of each place of a grid."""

    def is_row(self, one: int, other: int) -> bool:
        """Whether two places stand side by side in a tier, so that a line between them is bent."""
        return self.in_tiers and self.places[one].y == self.places[other].y


def in_rows(rows: Sequence[Row]) -> Layout:
    """Put rows above each other, nodes at the bottom, the boxes of a row at even distances."""
    slots = _slots(rows)
    places: list[Place] = []
    names: list[tuple[float, str]] = []
    y = 0.25 + _FRAME_EDGE
    for below, row in zip((None, *rows), rows, strict=False):
        if below is not None:
            y += _INSIDE_PITCH if row.inside else _ABOVE_NODES if below.inside else _PITCH
        names.append((y, row_name(row)))
        places += _row(row, y, slots)
    frames = tuple(_frame(title, slots[title], places) for title in slots)
    return Layout(tuple(places), tuple(names), frames, y + 0.3)


def _slots(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Return left and right of each node that is drawn open."""
    nodes = list(dict.fromkeys(box.frame for row in rows if row.inside for box in row.boxes))
    width = (RIGHT - LEFT) / max(len(nodes), 1)
    return {node: (LEFT + width * n, LEFT + width * (n + 1)) for n, node in enumerate(nodes)}


def _row(row: Row, y: float, slots: dict[str, tuple[float, float]]) -> list[Place]:
    if not row.inside:
        return _spread(row.boxes, y, LEFT, RIGHT, _BOX_HEIGHT)
    edge = _FRAME_EDGE
    return [
        place
        for node, (left, right) in slots.items()
        for place in _spread(
            [box for box in row.boxes if box.frame == node], y, left + edge, right - edge, _SMALL_HEIGHT
        )
    ]


def _spread(boxes: Sequence[Box], y: float, left: float, right: float, height: float) -> list[Place]:
    slot = (right - left) / max(len(boxes), 1)
    widest = _WIDEST_BOX if len(boxes) > 1 else _WIDEST_ALONE
    width = min(widest, slot - min(0.25 * slot, 0.3))
    labels = short_labels([box.title for box in boxes], width)
    return [
        Place(box, label, left + slot * (n + 0.5), y, width, height)
        for n, (box, label) in enumerate(zip(boxes, labels, strict=True))
    ]


def short_labels(titles: Sequence[str], width: float) -> list[str]:
    """Return titles for boxes of this width (inches); without their common stem where too long."""
    letters = int(width / _LETTER_IN)
    if max(map(len, titles), default=0) <= letters or len(titles) == 1:
        return list(titles)
    stems = {title.rstrip("0123456789.–… ") for title in titles}
    stem = stems.pop() if len(stems) == 1 else ""
    return [title.removeprefix(stem) for title in titles]


def row_name(row: Row) -> str:
    """Return what stands at the left of a row: its name, and what each of its boxes holds."""
    contents = {box.content for box in row.boxes}
    content = contents.pop() if len(contents) == 1 else ""
    each = " each" if content and len(row.boxes) > 1 else ""
    return f"{row.name}\n{content}{each}".rstrip()


def _frame(title: str, slot: tuple[float, float], places: Sequence[Place]) -> Frame:
    inside = [place for place in places if place.box.frame == title]
    low = min(place.y - place.height / 2 for place in inside)
    high = max(place.y + place.height / 2 for place in inside)
    left, right = slot
    edge = _FRAME_EDGE
    return Frame(title, left + edge / 2, low - edge, right - edge / 2, high + edge)
