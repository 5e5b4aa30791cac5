"""Why something took as long as it did: walk back along the causes, split by resource.

Each activity of the trace names the activity whose end let it start. From the end of an
iteration or a request, following these links backwards gives the one chain of activities
that fixed that end: the critical path. Every second of it belongs to a resource.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clustersim.engine.trace import NO_CAUSE, QUEUEING, Activity
from clustersim.errors import InputError
from clustersim.results.frozen import FrozenMapping

__all__ = ["NETWORK_BANDWIDTH", "Segment", "by_class", "critical_path", "seconds_by_resource", "shares"]

NETWORK_BANDWIDTH = "network_bandwidth"
"""Class of the resources `network_bandwidth:<link>`."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a critical path.

    Parameters
    ----------
    row
        Row of the activity in the trace; `NO_CAUSE` for a wait between two activities.
    kind, lane, label
        Of the activity; a wait has kind `queue` and the lane of what waited.
    start_s, end_s
        The part of the activity that is on the path.
    seconds
        Resource to seconds; adds up to `end_s - start_s`.
    """

    row: int
    kind: str
    lane: str
    label: str
    start_s: float
    end_s: float
    seconds: Mapping[str, float]

    @property
    def duration_s(self) -> float:
        """Length in time."""
        return self.end_s - self.start_s


def critical_path(
    trace: Sequence[Activity], end_row: int, *, since_s: float = -math.inf, until_s: float = math.inf
) -> tuple[Segment, ...]:
    """Return the chain of activities that fixed when `end_row` ended, in order of time.

    The walk starts at the end of `end_row` and goes to the cause of each activity until
    `since_s`, or to an activity without a cause. Where an activity started later than its
    cause ended, the gap is a wait (resource `queueing`), and so is the time between
    `since_s` and the first activity.

    *Equation.* With activities a₀ = `end_row`, aₖ₊₁ = cause(aₖ): segment k covers
    [max(start(aₖ), since), min(end(aₖ), start(aₖ₋₁))]. The segments touch, do not
    overlap and cover [since, end].

    Parameters
    ----------
    trace
        Activities; a row's index is its identity.
    end_row
        Row to explain.
    since_s
        Where the path begins: start of the iteration, admission of the request.
    until_s
        Cut the last activity here, where a request ended inside it.

    Raises
    ------
    InputError
        If there is no such row.

    Valid when the trace records for each activity the last of the events it waited for.

    Checked by: tests/results/test_attribution.py (random cause chains).
    """
    if not 0 <= end_row < len(trace):
        raise InputError(f"row {end_row} is not in the trace, which has {len(trace)} rows")
    segments: list[Segment] = []
    row, cursor = end_row, min(trace[end_row].end_s, until_s)
    later = trace[end_row]
    seen: set[int] = set()
    while row != NO_CAUSE and row not in seen and cursor > since_s:
        seen.add(row)
        activity = trace[row]
        if activity.end_s < cursor:
            gap_s = max(activity.end_s, since_s)
            segments.append(_wait(gap_s, cursor, before=later))
            cursor = gap_s
        start_s = max(activity.start_s, since_s)
        if start_s < cursor:
            segments.append(_part(activity, row, start_s, cursor))
            cursor = start_s
        row, later = activity.cause, activity
    if math.isfinite(since_s) and cursor > since_s:
        segments.append(_wait(since_s, cursor, before=later))
    return tuple(reversed(segments))


def _part(activity: Activity, row: int, start_s: float, end_s: float) -> Segment:
    """Cut an activity to an interval; its resources keep their proportions."""
    length = end_s - start_s
    total = sum(activity.shares.values())
    whole = max(total, activity.end_s - activity.start_s)
    split = {name: value / whole * length for name, value in activity.shares.items() if value > 0}
    unexplained = length * (1.0 - total / whole) if whole > 0 else length
    if unexplained > 1e-12 * length:
        split[QUEUEING] = split.get(QUEUEING, 0.0) + unexplained
    return Segment(row, activity.kind, activity.lane, activity.label, start_s, end_s, FrozenMapping(split))


def _wait(start_s: float, end_s: float, *, before: Activity) -> Segment:
    return waiting(start_s, end_s, lane=before.lane, label=f"wait before {before.label}")


def waiting(start_s: float, end_s: float, *, lane: str, label: str) -> Segment:
    """Return a wait that no activity of the trace stands for, such as a request in the queue."""
    return Segment(NO_CAUSE, "queue", lane, label, start_s, end_s, FrozenMapping({QUEUEING: end_s - start_s}))


def seconds_by_resource(path: Iterable[Segment]) -> dict[str, float]:
    """Add up the seconds of a path by resource, largest first."""
    total: dict[str, float] = {}
    for segment in path:
        for resource, seconds in segment.seconds.items():
            total[resource] = total.get(resource, 0.0) + seconds
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def shares(path: Iterable[Segment]) -> dict[str, float]:
    """Return each resource's share of a path, largest first; they add up to 1.

    *Equation.* share(r) = Σ_segments seconds(r) / Σ_segments duration.

    The share of a resource is the elasticity of the path's length to its speed: with the
    resource x % faster, the path gets share·x % shorter, to first order and as long as
    no other chain becomes the longer one. Empty for a path without length.
    """
    seconds = seconds_by_resource(path)
    total = math.fsum(seconds.values())
    return {resource: value / total for resource, value in seconds.items()} if total > 0 else {}


def by_class(resource_shares: Mapping[str, float]) -> dict[str, float]:
    """Add up shares over links: `network_bandwidth:<link>` becomes `network_bandwidth`."""
    total: dict[str, float] = {}
    for resource, share in resource_shares.items():
        name = resource.partition(":")[0]
        total[name] = total.get(name, 0.0) + share
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
