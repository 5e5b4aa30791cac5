"""What runs between the boxes of a picture of the fabric, and how loaded it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustersim.report.plots._fabric_places import Layout, Place
from clustersim.topology import Topology

__all__ = ["Lane", "Lanes", "inner_links", "lanes_of"]

_PORTS = 0.8
"""Part of a box's edge that its links leave from."""
_GAP = 0.026
"""Inches between the two directions of a cable and its middle."""
_MOST_PAIRS = 260
"""Pairs of boxes up to which both directions are drawn."""
_ARC_POINTS = 25
_STUB, _BOW = 0.26, 0.08
"""Inches of a line that leads round a grid outside its boxes; bend of a line, of its length."""


@dataclass(frozen=True)
class Lane:
    """The links from one box to another, drawn as one line.

    Parameters
    ----------
    load
        Of the link with the highest.
    link
        Which that is, by its index in the topology.
    links
        How many they are.
    points
        The line, in inches, shape (points, 2), in the direction of the links.
    """

    load: float
    link: int
    links: int
    points: np.ndarray


class Lanes(NamedTuple):
    """All lines of a picture."""

    lines: tuple[Lane, ...]
    both: bool
    """Whether each direction has its own."""
    wrapped: bool
    """Whether some lead round a grid and are drawn as their two ends."""


def lanes_of(topology: Topology, layout: Layout, load: np.ndarray) -> Lanes:
    """Return the lines between boxes.

    `load` is of every link of the topology. With more than `_MOST_PAIRS` pairs of boxes there is
    one line per pair, with the load of the busier direction.
    """
    groups = _links_between(topology, layout)
    pairs = {tuple(sorted(pair)) for pair in groups}
    both = len(pairs) <= _MOST_PAIRS
    ports = _ports(layout.places, pairs) if layout.in_tiers else _centres(layout.places, pairs)
    wraps = _wraps(layout, pairs)
    lanes = []
    for low, high in sorted(pairs):
        lines = [(groups.get(ends, []), ends) for ends in ((low, high), (high, low))]
        if not both:
            lines = [(lines[0][0] + lines[1][0], (low, high))]
        for links, (source, target) in lines:
            if links:
                hottest = max(links, key=lambda link: (load[link], -link))
                line = _line(ports[low, high], turned=source > target, gap=_GAP if both else 0.0)
                lanes += [
                    Lane(float(load[hottest]), hottest, len(links), points)
                    for points in _course(layout, low, high, line, wraps=wraps)
                ]
    return Lanes(tuple(lanes), both, bool(wraps))


def inner_links(topology: Topology, layout: Layout, load: np.ndarray) -> list[int | None]:
    """Return for each place the most loaded link between two of its vertices; None without links."""
    place_of = _place_of(layout)
    hottest: list[int | None] = [None] * len(layout.places)
    for link, (source, target) in enumerate(topology.wires.ends):
        place = place_of.get(source)
        if place is not None and place == place_of.get(target):
            best = hottest[place]
            if best is None or load[link] > load[best]:
                hottest[place] = link
    return hottest


def _place_of(layout: Layout) -> dict[int, int]:
    return {vertex: n for n, place in enumerate(layout.places) for vertex in place.box.vertices}


def _links_between(topology: Topology, layout: Layout) -> dict[tuple[int, int], list[int]]:
    place_of = _place_of(layout)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for link, (source, target) in enumerate(topology.wires.ends):
        ends = place_of.get(source), place_of.get(target)
        if ends[0] is not None and ends[1] is not None and ends[0] != ends[1]:
            groups[ends[0], ends[1]].append(link)
    return groups


Points = tuple[tuple[float, float], tuple[float, float]]


def _ports(places: Sequence[Place], pairs: set[tuple[int, ...]]) -> dict[tuple[int, ...], Points]:
    """Where the line of each pair begins and ends: spread over the edges that face each other."""
    sides: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for low, high in pairs:
        for one, other in ((low, high), (high, low)):
            sides[one, _up(places, one, other)].append(other)
    at: dict[tuple[int, int], tuple[float, float]] = {}
    for (one, up), others in sides.items():
        place = places[one]
        y = place.y + (0.5 if up else -0.5) * place.height
        others.sort(key=lambda other: places[other].x)
        for n, other in enumerate(others):
            share = (n + 0.5) / len(others) - 0.5
            at[one, other] = (place.x + _PORTS * place.width * share, y)
    return {(low, high): (at[low, high], at[high, low]) for low, high in pairs}


def _centres(places: Sequence[Place], pairs: set[tuple[int, ...]]) -> dict[tuple[int, ...], Points]:
    return {
        (low, high): ((places[low].x, places[low].y), (places[high].x, places[high].y)) for low, high in pairs
    }


def _wraps(layout: Layout, pairs: set[tuple[int, ...]]) -> dict[int, int]:
    """Return the axes of a grid (column, row, layer) whose ends are joined, with that distance.

    Such an axis has links between neighbours and between its ends, and none of another length.
    """
    lengths: dict[int, set[int]] = defaultdict(set)
    for low, high in pairs:
        steps = _steps(layout, low, high)
        if len(steps) == 1:
            ((axis, length),) = steps.items()
            lengths[axis].add(length)
    extent = [max(axis) - min(axis) for axis in zip(*layout.cells, strict=True)]
    return {axis: extent[axis] for axis, found in lengths.items() if found == {1, extent[axis]}}


def _steps(layout: Layout, low: int, high: int) -> dict[int, int]:
    """Return how far apart two places of a grid are along the axes on which they differ."""
    if not layout.cells:
        return {}
    ends = zip(layout.cells[low], layout.cells[high], strict=True)
    return {axis: abs(one - other) for axis, (one, other) in enumerate(ends) if one != other}


def _course(
    layout: Layout, low: int, high: int, line: np.ndarray, *, wraps: dict[int, int]
) -> list[np.ndarray]:
    """Bend a line past the boxes between its ends; cut one that leads round a grid into its two ends."""
    if layout.is_row(low, high):
        return [_arc(line, below=bool(layout.places[low].box.frame))]
    steps = _steps(layout, low, high)
    if len(steps) == 1:
        ((axis, length),) = steps.items()
        if wraps.get(axis) == length and length > 1:
            return _stubs(line, layout.places[low])
        if length > 1:
            return [_bow(line)]
    return [line]


def _stubs(line: np.ndarray, place: Place) -> list[np.ndarray]:
    """Return the ends of a line that leaves a grid on one side and comes back on the other."""
    along = (line[1] - line[0]) / float(np.hypot(*(line[1] - line[0])))
    with np.errstate(divide="ignore"):
        inside = float(np.min(np.array([place.width, place.height]) / 2 / np.abs(along)))
    out = (inside + _STUB) * along
    return [np.array([line[0], line[0] - out]), np.array([line[1] + out, line[1]])]


def _bow(line: np.ndarray) -> np.ndarray:
    """Bend a line to its right, so that it passes the boxes on its way."""
    start, end = line
    along = end - start
    aside = np.array([along[1], -along[0]]) * _BOW
    t = np.linspace(0.0, 1.0, _ARC_POINTS)[:, None]
    return np.asarray(start + t * along + 4 * t * (1 - t) * aside)


def _up(places: Sequence[Place], one: int, other: int) -> bool:
    """Whether the line to `other` leaves at the top; neighbours in a row meet above it, GPUs below."""
    if places[one].y == places[other].y:
        return not places[one].box.frame
    return places[other].y > places[one].y


def _line(ends: Points, *, turned: bool, gap: float) -> np.ndarray:
    start, end = (np.array(point) for point in (reversed(ends) if turned else ends))
    along = end - start
    # Traffic keeps to the right, so that the two directions of a cable lie side by side.
    right = np.array([along[1], -along[0]]) / (float(np.hypot(*along)) or 1.0)
    return np.array([start, end]) + gap * right


def _arc(line: np.ndarray, *, below: bool) -> np.ndarray:
    """Bend a line between two boxes of one row into half an ellipse."""
    (start_x, y), (end_x, _) = line
    angle = np.linspace(np.pi, 0.0, _ARC_POINTS)
    height = min(0.16 + 0.1 * abs(end_x - start_x), 0.6) * (-1.0 if below else 1.0)
    x = (start_x + end_x) / 2 + (end_x - start_x) / 2 * np.cos(angle)
    return np.stack((x, y + height * np.sin(angle)), axis=1)
