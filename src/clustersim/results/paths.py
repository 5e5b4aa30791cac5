"""Which rows of the trace belong to an iteration or a request, and the path that led to its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.engine.trace import Activity
from clustersim.errors import InputError
from clustersim.results.attribution import Segment, critical_path, waiting

if TYPE_CHECKING:
    from clustersim.workloads.base import Outcome, Table

__all__ = ["belongs_to", "iteration_path", "iteration_window", "request_path"]

_SAME_INSTANT = 1e-9
"""Relative: two times this close are one instant (rounding of sums of durations)."""


def belongs_to(lane: str, name: str) -> bool:
    """Whether a lane is one of a workload's: `NAME/stream` or `NAME.REPLICA/stream`."""
    owner = lane.partition("/")[0]
    return owner == name or owner.startswith(f"{name}.")


def iteration_window(outcome: Outcome, iteration: int) -> tuple[float, float]:
    """Return start and end in seconds of one iteration (number as in the table).

    Raises
    ------
    InputError
        If there is no such iteration.
    """
    table = _table(outcome, "iterations")
    row = _row_of(table, "iteration", iteration, outcome.name)
    start_s = float(table["start_s"][row])
    return start_s, start_s + float(table["duration_s"][row])


def iteration_path(trace: Sequence[Activity], outcome: Outcome, iteration: int) -> tuple[Segment, ...]:
    """Return the critical path of one iteration of a training job."""
    start_s, end_s = iteration_window(outcome, iteration)
    end_row = _row_ending_at(trace, outcome.name, end_s)
    return critical_path(trace, end_row, since_s=start_s, until_s=end_s)


def request_path(trace: Sequence[Activity], outcome: Outcome, request: int) -> tuple[Segment, ...]:
    """Return the critical path of one request: the wait for admission, then the engine's steps.

    Where another replica computed the prompt, its steps come first, then the KV on the network.
    """
    table = _table(outcome, "requests")
    row = _row_of(table, "request", request, outcome.name)
    arrival_s, admitted_s, finish_s = (
        float(table[column][row]) for column in ("arrival_s", "admitted_s", "finish_s")
    )
    if not math.isfinite(finish_s):
        raise InputError(f"request {request} of '{outcome.name}' had not finished when the run ended")
    owner = f"{outcome.name}.{int(table['replica'][row])}"
    end_row = int(table["trace_row"][row]) if "trace_row" in table and trace else -1
    if end_row < 0:
        end_row = _row_ending_at(trace, owner, finish_s)
    since_s, before = _handed_over(trace, outcome, request, admitted_s)
    path = (*before, *critical_path(trace, end_row, since_s=since_s, until_s=finish_s))
    if admitted_s <= arrival_s:
        return path
    label = f"request {request} in the queue"
    return (waiting(arrival_s, admitted_s, lane=f"{owner}/queue", label=label), *path)


def _handed_over(
    trace: Sequence[Activity], outcome: Outcome, request: int, admitted_s: float
) -> tuple[float, tuple[Segment, ...]]:
    """Return when a request came to the replica that answered it, and the path up to then."""
    transfers = outcome.tables.get("kv_transfers")
    if transfers is None or not trace or request not in transfers["request"]:
        return admitted_s, ()
    place = int(np.flatnonzero(transfers["request"] == request)[0])
    arrived_s, row = float(transfers["arrived_s"][place]), int(transfers["trace_row"][place])
    return arrived_s, critical_path(trace, row, since_s=admitted_s, until_s=arrived_s)


def _table(outcome: Outcome, name: str) -> Table:
    if name not in outcome.tables:
        raise InputError(f"'{outcome.name}' is a workload of kind {outcome.kind} and has no {name}")
    return outcome.tables[name]


def _row_of(table: Table, column: str, wanted: int, workload: str) -> int:
    numbers = table[column] if column in table else np.arange(len(next(iter(table.values()))))
    found = np.flatnonzero(numbers == wanted)
    if not len(found):
        known = f"it has {numbers.min()} to {numbers.max()}" if len(numbers) else "it has none"
        raise InputError(f"'{workload}' has no {column} {wanted}; {known}")
    return int(found[0])


def _row_ending_at(trace: Sequence[Activity], owner: str, end_s: float) -> int:
    """Row of the owner's activity that ended at a time, or was the first to end after it."""
    if not trace:
        raise InputError("the run kept no trace; set 'run.trace: true' in the scenario")
    earliest = end_s - _SAME_INSTANT * max(1.0, abs(end_s))
    best, best_end = -1, math.inf
    for row, activity in enumerate(trace):
        if earliest <= activity.end_s <= best_end and belongs_to(activity.lane, owner):
            best, best_end = row, activity.end_s
    if best < 0:
        raise InputError(f"no activity of '{owner}' reaches {end_s:.6g} s in the trace")
    return best
