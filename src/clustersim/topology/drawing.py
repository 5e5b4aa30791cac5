"""A picture of a topology: tiers as rows, what is alike in one box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.topology._boxes import Box, boxes_of, cables_between
from clustersim.topology._lattice import Lattice, lattice_of
from clustersim.topology.levels import Levels, levels_of
from clustersim.topology.network import Topology
from clustersim.topology.summary import TopologySummary, describe, gigabit_per_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "figure"]

_WIDTH_INCHES = 12.0
_ROW_INCHES = 1.9
_GRID_INCHES = 8.0
"""Height of a grid at most."""
_BOX_HEIGHT = 0.46
_LEFT, _RIGHT = 0.13, 0.99
_PARTS_IN_LINE = 3
_MOST_NAMED = 36
"""Places of a grid; more are drawn without names."""
_ARC_STEPS = 16
_ARC_HEIGHT = 0.09
"""Of a cable within a row, between the row and what is above it."""
_COLOURS = ("#dcebf7", "#fbe3c4", "#f6d0c8", "#dcd6ee", "#d7ead4")
"""Of the rows, nodes first."""


def draw(topology: Topology, path: Path | str) -> None:
    """Draw a topology into a file; the ending says the format (`.png`, `.svg`, `.pdf`).

    Each tier of switches is a row above the nodes. A row of more than twelve shows
    switches with the same neighbours, and nodes on the same switches, as one box. A torus,
    hypercube or HyperX is drawn as the grid that it is, where that can be read.

    **Checked by:** tests/topology/test_drawing.py.
    """
    figure(topology).savefig(Path(path), dpi=150)


def figure(topology: Topology) -> Figure:
    """Return the drawing as a matplotlib figure."""
    lattice = lattice_of(topology)
    return _figure_of_tiers(topology) if lattice is None else _figure_of_grid(topology, lattice)


def _figure_of_grid(topology: Topology, lattice: Lattice) -> Figure:
    """Draw places as dots, cables between neighbours straight, longer ones as arcs."""
    from matplotlib.figure import Figure

    across, up = zip(*lattice.places.values(), strict=True)
    width, height = max(across) + 1.6, max(up) + 2.2
    scale = min(_WIDTH_INCHES / width, _GRID_INCHES / height)
    shown = Figure(figsize=(max(6.0, scale * width), max(3.0, scale * height)))
    axes = shown.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(-0.8, max(across) + 0.8)
    axes.set_ylim(-1.2, max(up) + 1.0)
    for cable in lattice.cables:
        xs, ys = _arc(cable.start, cable.end, 0.3 if cable.wraps else 0.0)
        axes.plot(xs, ys, color="#7a8794", linewidth=0.6 if cable.wraps else 1.1, zorder=1)
    axes.scatter(
        across, up, s=90 if len(across) <= 64 else 22, color=_COLOURS[1], edgecolor="#555555", zorder=2
    )
    if len(across) <= _MOST_NAMED:
        for name, (x, y) in lattice.places.items():
            axes.annotate(name, (x, y), (5, -9), textcoords="offset points", fontsize=6.5, color="#333333")
    summary = describe(topology)
    middle: dict[str, Any] = {"x": max(across) / 2, "ha": "center", "va": "center"}
    axes.text(y=max(up) + 0.75, s=_title(summary), fontsize=12, weight="bold", **middle)
    axes.text(y=-0.85, s=_footer(summary), fontsize=9, color="#444444", linespacing=1.5, **middle)
    return shown


def _arc(
    start: tuple[float, float], end: tuple[float, float], bulge: float
) -> tuple[list[float], list[float]]:
    """Return points of a curve that leaves the straight line by `bulge` upwards, or else to the left."""
    (x, y), (to_x, to_y) = start, end
    length = max(1e-9, ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5)
    side = (-(to_y - y) / length, (to_x - x) / length)
    is_upright = abs(side[1]) < 1e-9
    if side[0] > 0 if is_upright else side[1] < 0:
        side = (-side[0], -side[1])
    steps = [n / _ARC_STEPS for n in range(_ARC_STEPS + 1)] if bulge else [0.0, 1.0]
    lifts = [4 * bulge * step * (1 - step) for step in steps]
    xs = [x + (to_x - x) * step + side[0] * lift for step, lift in zip(steps, lifts, strict=True)]
    ys = [y + (to_y - y) * step + side[1] * lift for step, lift in zip(steps, lifts, strict=True)]
    return xs, ys


def _figure_of_tiers(topology: Topology) -> Figure:
    """Draw each tier as a row of boxes."""
    from matplotlib.figure import Figure

    levels = levels_of(topology)
    rows = boxes_of(topology, levels)
    shown = Figure(figsize=(_WIDTH_INCHES, _ROW_INCHES * (len(rows) + 0.4)))
    axes = shown.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.8, len(rows) - 0.4)
    summary = describe(topology)
    _draw_cables(axes, topology, rows)
    for row, boxes in enumerate(rows):
        _draw_row(axes, topology, row, boxes)
        _label_row(axes, levels, row, summary)
    middle: dict[str, Any] = {"x": 0.5, "ha": "center", "va": "center"}
    axes.text(y=len(rows) - 0.57, s=_title(summary), fontsize=12, weight="bold", **middle)
    axes.text(y=-0.53, s=_footer(summary), fontsize=9, color="#444444", linespacing=1.5, **middle)
    return shown


def _centre(row: int, box: int, boxes: int) -> tuple[float, float]:
    width = (_RIGHT - _LEFT) / boxes
    return _LEFT + width * (box + 0.5), float(row)


def _draw_row(axes: Axes, topology: Topology, row: int, boxes: Sequence[Box]) -> None:
    from matplotlib.patches import FancyBboxPatch

    width = min((_RIGHT - _LEFT) / len(boxes) * 0.86, 0.2)
    size = 9.0 if len(boxes) <= 8 else 7.2
    look: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.008",
        "mutation_aspect": _WIDTH_INCHES / _ROW_INCHES,
        "facecolor": _COLOURS[min(row, len(_COLOURS) - 1)],
        "edgecolor": "#555555",
        "linewidth": 0.9,
        "zorder": 2,
    }
    for n, box in enumerate(boxes):
        x, y = _centre(row, n, len(boxes))
        low = (x - width / 2, y - _BOX_HEIGHT / 2)
        gap = {"linestyle": "dashed", "facecolor": "white"} if box.is_gap else {}
        axes.add_patch(FancyBboxPatch(low, width, _BOX_HEIGHT, **{**look, **gap}))
        text = f"{box.title(wide=len(boxes) <= 6)}\n{_content(topology, row, box)}".rstrip()
        axes.text(x, y, text, ha="center", va="center", fontsize=size, zorder=3, linespacing=1.25)


def _content(topology: Topology, row: int, box: Box) -> str:
    """Second part of a box's label: how many it stands for and what they hold."""
    if box.is_gap:
        return ""
    if row:
        return f"{len(box.members)} switches" if len(box.members) > 1 else ""
    counts = Counter(len(topology.gpus_by_node[node]) for node in box.members)
    gpus = " or ".join(f"{count}" for count in counts)
    return f"{len(box.members)} × {gpus} GPUs" if len(box.members) > 1 else f"{gpus} GPUs"


def _draw_cables(axes: Axes, topology: Topology, rows: Sequence[Sequence[Box]]) -> None:
    cables = cables_between(topology, rows)
    crowd = max(1.0, len(cables) / 40)
    for (row, box, other_row, other_box), count in cables.items():
        x, y = _centre(row, box, len(rows[row]))
        to_x, to_y = _centre(other_row, other_box, len(rows[other_row]))
        beside = row == other_row
        ends = (x, y + _BOX_HEIGHT / 2), (to_x, to_y + _BOX_HEIGHT / 2 * (1 if beside else -1))
        xs, ys = _arc(*ends, _ARC_HEIGHT if beside else 0.0)
        width = min(4.0, 0.8 + 0.35 * count**0.5) / crowd**0.5
        axes.plot(xs, ys, color="#7a8794", linewidth=width, zorder=1, solid_capstyle="round")


def _label_row(axes: Axes, levels: Levels, row: int, summary: TopologySummary) -> None:
    """Name of the tier at the left, and how many it has."""
    name = levels.names[row]
    count = summary.switches.get(name, summary.nodes)
    text = f"{name}\n{count}"
    if name in summary.oversubscription:
        text += f"\noversubscription\n{summary.oversubscription[name]:.3g} : 1"
    axes.text(0.06, row, text, ha="center", va="center", fontsize=9.5, color="#333333", linespacing=1.3)


def _title(summary: TopologySummary) -> str:
    gpus = ", ".join(f"{count} × {name}" for name, count in summary.gpus.items())
    return f"{summary.nodes} nodes, {gpus}" if summary.nodes != 1 else f"1 node, {gpus}"


def _footer(summary: TopologySummary) -> str:
    parts = [
        f"{tier.tier}: {tier.cables} × {gigabit_per_s(tier.bandwidth_bytes_per_s[0])} {tier.kind}"
        for tier in summary.tiers
        if tier.tier != "pcie"
    ]
    if summary.bisection_bytes_per_s is not None:
        parts.append(f"bisection {gigabit_per_s(summary.bisection_bytes_per_s)}")
    lines = [parts[n : n + _PARTS_IN_LINE] for n in range(0, len(parts), _PARTS_IN_LINE)]
    return "\n".join("   ·   ".join(line) for line in lines) + "   (usable rates, each way)"
