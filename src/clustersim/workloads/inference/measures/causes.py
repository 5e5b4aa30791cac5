"""What made the time of requests: their own steps, and those of others that they waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from clustersim.engine.trace import QUEUEING
from clustersim.workloads.inference.measures.attribution import on_the_way, running_rows
from clustersim.workloads.inference.measures.request_columns import RequestColumns
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.serving.waiting import waited_for

__all__ = ["service_causes"]


def service_causes(
    requests: Sequence[Request], columns: RequestColumns, logs: Sequence[StepLog]
) -> dict[str, float]:
    """Return the share of each resource in the time of all finished requests, queues included.

    *Equation.* As `service_shares`, but a second in the queue of a replica belongs to the resource that
    held the step which the replica ran then; only seconds in which it ran none stay `queueing`.

    **Valid when** requests wait for the replica that serves them.
    **Checked by:** tests/study/test_radar_reruns.py, against runs with each resource slower and faster.
    """
    seconds: dict[str, float] = {}
    idle_s = 0.0
    waits = _Waits.of(requests, columns, logs)
    for replica, (log, running) in enumerate(running_rows(requests, columns, logs)):
        mine = waits.at(replica)
        begin_s, end_s = log.column("start_s"), log.column("end_s")
        waited = waited_for(begin_s, end_s, since_s=mine.since_s, until_s=mine.until_s)
        idle_s += waited.idle_s
        row, resource, values = log.entries()
        times = running + waited.times
        sums = np.bincount(resource, weights=values * times[row], minlength=len(log.resources))
        for name, value in zip(log.resources, sums.tolist(), strict=True):
            seconds[name] = seconds.get(name, 0.0) + value
    for _, name, value in on_the_way(requests):
        seconds[name] = seconds.get(name, 0.0) + value
    seconds[QUEUEING] = idle_s
    whole_s = sum(seconds.values())
    return {name: value / whole_s for name, value in seconds.items() if value > 0.0}


class _Waits(NamedTuple):
    """Intervals in which finished requests waited for a replica."""

    replica: np.ndarray
    since_s: np.ndarray
    until_s: np.ndarray

    @classmethod
    def of(cls, requests: Sequence[Request], columns: RequestColumns, logs: Sequence[StepLog]) -> _Waits:
        rows = list(_intervals(requests, columns, [_Times.of(log) for log in logs]))
        replica, since_s, until_s = np.array(rows, dtype=float).reshape(-1, 3).T
        return cls(replica.astype(np.int64), since_s, until_s)

    def at(self, replica: int) -> _Waits:
        """Return those of one replica."""
        here = (self.replica == replica) & (self.until_s > self.since_s)
        return _Waits(*(column[here] for column in self))


class _Times(NamedTuple):
    """When the rows of a log began and ended."""

    start_s: list[float]
    end_s: list[float]

    @classmethod
    def of(cls, log: StepLog) -> _Times:
        return cls(log.column("start_s").tolist(), log.column("end_s").tolist())


def _intervals(
    requests: Sequence[Request], columns: RequestColumns, times: Sequence[_Times]
) -> Iterator[tuple[int, float, float]]:
    """Yield replica, begin and end of each wait: for the first step, after a handover, when preempted."""
    for place in np.flatnonzero(columns.finished).tolist():
        request = requests[place]
        own, since_s = times[request.replica], request.arrival_s
        until_s = own.start_s[request.first_row]
        way = request.handover
        if way is not None:
            there = times[way.replica]
            yield way.replica, since_s, there.start_s[way.first_row]
            since_s, until_s = there.end_s[way.last_row], until_s - way.exposed_s
        yield request.replica, since_s + sum((request.loading_s or {}).values()), until_s
        for start, end in request.waits:
            yield request.replica, own.start_s[start], own.end_s[end - 1]
