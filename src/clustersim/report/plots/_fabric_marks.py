"""Which lines of a picture of the fabric are numbered, and what the list under it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.report.numbers import duration, percent
from clustersim.report.plots._fabric_pipes import Lane
from clustersim.report.plots._fabric_places import Place
from clustersim.report.words import sharers
from clustersim.results.fabric_report import FabricReport, LinkUse
from clustersim.topology import Topology

__all__ = ["Mark", "marks_of"]

_SPOTS = (0.5, 0.38, 0.62, 0.27, 0.73)
"""Along a line: where its number may stand."""
_APART = 0.24
"""Inches between two numbers that do not touch."""

Spots = list[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A number on a line or box, and what the list says of it.

    Parameters
    ----------
    at
        Where, in inches.
    use
        The most loaded link there.
    alike
        Other lines and boxes that look the same to three digits; they carry no number.
    """

    at: tuple[float, float]
    use: LinkUse
    alike: int

    @property
    def text(self) -> str:
        """The line of the list."""
        use = self.use
        alike = f" and {self.alike} alike" if self.alike else ""
        parts = [f"mean {percent(use.mean_utilization)}, peak {percent(use.max_utilization)}"]
        if use.saturated_s:
            parts.append(f"full for {duration(use.saturated_s)}")
        if use.protocol_bound_s:
            parts.append(f"protocol-bound for {duration(use.protocol_bound_s)}")
        if use.shared_by:
            parts.append(sharers(use.shared_by))
        return f"{use.name}{alike}:  {'  ·  '.join(parts)}"


def marks_of(
    report: FabricReport,
    topology: Topology,
    loads: np.ndarray,
    lanes: Sequence[Lane],
    boxes: Sequence[tuple[Place, int | None]],
    *,
    most: int,
) -> list[Mark]:
    """Choose the most loaded of lines and boxes, one for all of a tier that are equally loaded.

    Of those it is the one at which a protocol held somebody back longest.
    `loads` are of all links of the topology; `boxes` come with the most loaded link inside.
    """
    spots_of = {lane.link: _along(lane.points) for lane in lanes}
    spots_of |= {link: [_corner(place)] for place, link in boxes if link is not None}
    groups: dict[tuple[str, float], list[tuple[int, Spots]]] = {}
    for link, spots in sorted(spots_of.items(), key=lambda item: (-round(float(loads[item[0]]), 9), item[0])):
        if loads[link] > 0:
            alike = (topology.link_tier[link], round(float(loads[link]), 3))
            groups.setdefault(alike, []).append((link, spots))
    protocol_s = dict(zip(report.names, report.protocol_bound_s.tolist(), strict=True))
    marks: list[Mark] = []
    for group in list(groups.values())[:most]:
        link, spots = max(group, key=lambda item: protocol_s.get(topology.link_names[item[0]], 0.0))
        use = report.link(topology.link_names[link])
        marks.append(Mark(_free(spots, [mark.at for mark in marks]), use, alike=len(group) - 1))
    return marks


def _along(points: np.ndarray) -> Spots:
    """Places on a line, the middle first."""
    where = np.linspace(0.0, 1.0, len(points))
    return [
        (float(np.interp(t, where, points[:, 0])), float(np.interp(t, where, points[:, 1]))) for t in _SPOTS
    ]


def _corner(place: Place) -> tuple[float, float]:
    return place.x + place.width / 2, place.y + place.height / 2


def _free(spots: Spots, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the first spot that is clear of the numbers so far, else the one farthest from them."""

    def room(spot: tuple[float, float]) -> float:
        distances = (float(np.hypot(spot[0] - x, spot[1] - y)) for x, y in taken)
        return min(min(distances, default=_APART), _APART)

    return max(spots, key=room)
