"""The topology, with its links coloured by load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.report.numbers import duration
from clustersim.report.plots._fabric_boxes import rows_of
from clustersim.report.plots._fabric_canvas import Canvas
from clustersim.report.plots._fabric_grid import without_tiers
from clustersim.report.plots._fabric_marks import marks_of
from clustersim.report.plots._fabric_pipes import Lanes, inner_links, lanes_of
from clustersim.report.plots._fabric_places import in_rows
from clustersim.report.plots.link_utilization import scale_end
from clustersim.report.style import Picture, house_style

if TYPE_CHECKING:
    from clustersim.results import FabricReport, Result

__all__ = ["fabric"]


@house_style
def fabric(result: Result, *, load: str = "mean", at_s: float | None = None, labels: int = 6) -> Picture:
    """Draw tiers above each other and a line per direction of each cable; see `ResultPlots.fabric`.

    Large clusters are drawn by group of nodes and switches; a line or box then has the colour of
    the most loaded link that it stands for.
    """
    report = result.fabric
    if not report.names:
        raise InputError("no link carried anything, there is nothing to draw")
    topology = result.topology()
    used = [topology.link_index(name) for name in report.names]
    loads = np.zeros(len(topology.link_names))
    loads[used], words = _loads(report, load, at_s)
    busy = frozenset(vertex for link in used for vertex in topology.wires.ends[link])
    layout = without_tiers(topology) or in_rows(rows_of(topology, busy))
    lanes = lanes_of(topology, layout, loads)
    inner = inner_links(topology, layout, loads)
    marks = marks_of(
        report, topology, loads, lanes.lines, list(zip(layout.places, inner, strict=True)), most=labels
    )
    canvas = Canvas(layout, lanes.lines, top=scale_end(loads) / 100, listed=len(marks))
    canvas.title(f"{result.scenario.name}: load of the links, {words}")
    canvas.lanes()
    canvas.boxes([None if link is None else float(loads[link]) for link in inner])
    canvas.marks(marks)
    canvas.color_bar(words, _note(lanes, closed=any(link is not None for link in inner)))
    return canvas.picture


def _loads(report: FabricReport, load: str, at_s: float | None) -> tuple[np.ndarray, str]:
    """Return the load of each used link, and what it is in words."""
    choices = {"mean": report.mean_utilization, "peak": report.max_utilization}
    if load not in choices:
        raise InputError(f"load is '{load}'; expected 'mean' or 'peak'.{did_you_mean(load, choices)}")
    if at_s is None:
        return choices[load], "mean over the run" if load == "mean" else "largest time bin of each"
    edges_s = report.bin_edges_s
    if not edges_s[0] <= at_s <= edges_s[-1]:
        raise InputError(
            f"at_s is {at_s!r}; expected a time of the run, {edges_s[0]:.6g} to {edges_s[-1]:.6g} s"
        )
    column = min(int(np.searchsorted(edges_s, at_s, side="right")), len(edges_s) - 1) - 1
    start, end = (duration(float(edge_s)) for edge_s in edges_s[column : column + 2])
    return report.utilization[:, column], f"from {start} to {end}"


def _note(lanes: Lanes, *, closed: bool) -> str:
    lines = ["one line per direction, traffic keeps to the right"]
    if not lanes.both:
        lines = ["one line for both directions: the busier one"]
    if lanes.wrapped:
        lines.append("short ends at the border lead round to the other side")
    if closed:
        lines.append("the colour of a box is that of its most loaded link inside")
    return "\n".join(lines)
