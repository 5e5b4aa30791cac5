"""What each stream did during one iteration or request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clustersim.engine.trace import NO_CAUSE, Activity
from clustersim.errors import InputError
from clustersim.report.numbers import duration, time_scale
from clustersim.report.style import (
    BLUE,
    CYAN,
    DARK_BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_BLUE,
    PURPLE,
    RED,
    YELLOW,
    Picture,
    house_style,
    legend_below,
    new_picture,
)
from clustersim.results.attribution import Segment
from clustersim.results.paths import belongs_to, iteration_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clustersim.results import Result

__all__ = ["gantt"]

_COLORS = {
    "forward": BLUE,
    "backward": LIGHT_BLUE,
    "optimizer": GREEN,
    "accumulate": DARK_BLUE,
    "lookup": DARK_BLUE,
    "update": CYAN,
    "prefill": BLUE,
    "decode": LIGHT_BLUE,
    "collective": RED,
    "transfer": PURPLE,
    "host": YELLOW,
    "queue": GREY,
    "compute": BLUE,
}
_LETTER_WIDTH = 0.0105
"""Of the width of the axes, for one letter of a label: decides whether a label fits its bar."""
_EDGED = 0.004
"""Of the width of the axes: narrower bars have no edge, which would hide them."""
_FEW_LANES = 8
_MOST_LANES = 20
_SEEN = 0.003
"""Of a request's time: a lane on which its path spends less is left out."""


@house_style
def gantt(result: Result, name: str, *, iteration: int | None = None, request: int | None = None) -> Picture:
    """Draw the lanes of a workload during an iteration or a request.

    The black line under the bars is the critical path. Of more than 20 lanes those are drawn that the
    path spends most time on; Perfetto shows all (`result.to_perfetto`).
    """
    if iteration is None and request is None:
        iteration = _middle_iteration(result, name)
    path = result.critical_path(name, iteration=iteration, request=request)
    what = f"iteration {iteration}" if request is None else f"request {request}"
    start_s, end_s = _window(result, name, iteration, path)
    rows = [
        activity
        for activity in (*result.trace, *_waits(path))
        if activity.end_s > start_s and activity.start_s < end_s and belongs_to(activity.lane, name)
    ]
    every = _lanes(rows, path, only_path=request is not None)
    lanes = _most_used(every, path)
    picture, axes = new_picture(9.6, 1.5 + (0.75 if len(lanes) <= _FEW_LANES else 0.42) * len(lanes))
    _bars(axes, rows, lanes, start_s, end_s)
    _path(axes, path, lanes, start_s, end_s)
    part = f" ({len(lanes)} of {len(every)} lanes)" if len(lanes) < len(every) else ""
    axes.set_title(f"{name}: {what}, {duration(end_s - start_s)}{part}")
    axes.set_yticks(range(len(lanes)), [lane.partition("/")[2] or lane for lane in lanes])
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    legend_below(axes)
    return picture


def _middle_iteration(result: Result, name: str) -> int:
    tables = result.outcome(name).tables
    table = tables.get("iterations")
    if "queries" in tables:
        raise InputError(
            f"no activities are kept of the queries of '{name}'; draw its 'query_time' or 'batches'"
        )
    if table is None:
        raise InputError(f"'{name}' has no iterations; give the number of a request")
    if not len(table["start_s"]):
        raise InputError(f"'{name}' has no finished iterations to draw")
    middle = len(table["start_s"]) // 2
    return int(table["iteration"][middle]) if "iteration" in table else middle


def _window(result: Result, name: str, iteration: int | None, path: Sequence[Segment]) -> tuple[float, float]:
    if iteration is not None:
        return iteration_window(result.outcome(name), iteration)
    return path[0].start_s, path[-1].end_s


def _waits(path: Sequence[Segment]) -> list[Activity]:
    """Waits on the path as activities, so that they are drawn."""
    return [
        Activity(part.kind, part.lane, part.label, part.start_s, part.end_s, NO_CAUSE, part.seconds)
        for part in path
        if part.row == NO_CAUSE
    ]


def _lanes(rows: Sequence[Activity], path: Sequence[Segment], *, only_path: bool) -> list[str]:
    """Lanes from top to bottom: compute first; of a request only those that its path spends time on."""
    if not only_path:
        lanes = dict.fromkeys([*(activity.lane for activity in rows), *(part.lane for part in path)])
        return sorted(lanes, key=lambda lane: (not lane.endswith("compute"), lane))
    seconds: dict[str, float] = {}
    for part in path:
        seconds[part.lane] = seconds.get(part.lane, 0.0) + part.duration_s
    return [lane for lane, value in seconds.items() if value > _SEEN * sum(seconds.values())]


def _most_used(lanes: list[str], path: Sequence[Segment]) -> list[str]:
    """Return the lanes that the path spends most time on, then the first ones, in their order."""
    if len(lanes) <= _MOST_LANES:
        return lanes
    seconds = dict.fromkeys(lanes, 0.0)
    for part in path:
        if part.lane in seconds:
            seconds[part.lane] += part.duration_s
    chosen = sorted(lanes, key=lambda lane: -seconds[lane])[:_MOST_LANES]
    return [lane for lane in lanes if lane in chosen]


def _color(kind: str, label: str) -> tuple[str, str]:
    word = label.partition(" ")[0].lower()
    key = word if word in _COLORS else kind if kind in _COLORS else "compute"
    return key, _COLORS[key]


def _bars(axes: Axes, rows: Sequence[Activity], lanes: Sequence[str], start_s: float, end_s: float) -> None:
    factor, unit = time_scale(end_s - start_s)
    axes.set_xlim(0, (end_s - start_s) * factor)
    axes.set_xlabel(f"time since its start ({unit})")
    named: set[str] = set()
    for activity in rows:
        if activity.lane not in lanes:
            continue
        left = (max(activity.start_s, start_s) - start_s) * factor
        width = (min(activity.end_s, end_s) - start_s) * factor - left
        key, color = _color(activity.kind, activity.label)
        y = lanes.index(activity.lane)
        label = key if key not in named else "_nolegend_"
        part = (width / factor) / (end_s - start_s)
        edge = "white" if part > _EDGED else color  # the narrowest would vanish without
        axes.barh(y, width, 0.62, left, color=color, edgecolor=edge, linewidth=0.6, label=label)
        named.add(key)
        if len(activity.label) * _LETTER_WIDTH < part:
            ink = "white" if color in (BLUE, DARK_BLUE, GREEN, PURPLE) else INK
            axes.text(left + width / 2, y, activity.label, ha="center", va="center", fontsize=8, color=ink)


def _path(axes: Axes, path: Sequence[Segment], lanes: Sequence[str], start_s: float, end_s: float) -> None:
    factor = time_scale(end_s - start_s)[0]
    label = "critical path"
    for segment in path:
        if segment.lane not in lanes:
            continue
        y = lanes.index(segment.lane) + 0.38
        ends = [(segment.start_s - start_s) * factor, (segment.end_s - start_s) * factor]
        axes.plot(ends, [y, y], color="black", lw=2.2, solid_capstyle="butt", label=label)
        label = "_nolegend_"
