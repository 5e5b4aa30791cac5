"""Where the time of requests went: waiting in queues, and the resources that held their engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING, STORAGE
from clustersim.workloads.inference.measures.request_columns import RequestColumns
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request

__all__ = ["CLASSES", "on_the_way", "request_shares", "running_rows", "service_shares"]

_NETWORK_BANDWIDTH = "network_bandwidth"
CLASSES = (QUEUEING, COMPUTE, MEMORY_BANDWIDTH, _NETWORK_BANDWIDTH, NETWORK_LATENCY, STORAGE, HOST)
"""What the time of a request is split into; links' bandwidth all together."""


@dataclass(frozen=True, eq=False)
class _Stays:
    """Rows of step logs in which finished requests ran: from `first` to before `end`, `sign` times.

    A request has one stay from its admission to its finish, one more where its prompt was computed
    elsewhere, and a negative one for each time that it had lost its blocks.
    """

    request: np.ndarray
    replica: np.ndarray
    first: np.ndarray
    end: np.ndarray
    sign: np.ndarray

    @classmethod
    def of(cls, requests: Sequence[Request], columns: RequestColumns) -> _Stays:
        done = np.flatnonzero(columns.finished)
        lost = columns.finished[columns.wait_request]
        waiting = columns.wait_request[lost]
        elsewhere = [
            (place, stay.replica, stay.first_row, stay.last_row + 1)
            for place, request in enumerate(requests)
            if (stay := request.handover) is not None and request.finished
        ]
        place, replica, first, end = np.array(elsewhere, dtype=np.int64).reshape(-1, 4).T
        return cls(
            request=np.concatenate([done, waiting, place]),
            replica=np.concatenate([columns.replica[done], columns.replica[waiting], replica]),
            first=np.concatenate([columns.first_row[done], columns.wait_start[lost], first]),
            end=np.concatenate([columns.last_row[done] + 1, columns.wait_end[lost], end]),
            sign=np.repeat([1, -1, 1], [len(done), len(waiting), len(place)]),
        )

    def on(self, replica: int, log: StepLog) -> Iterator[tuple[np.ndarray, _Stays]]:
        """Yield for each of the batches in flight of a replica its rows (as a mask) and its stays."""
        here = self._kept(self.replica == replica)
        if not len(here.request):
            return
        slots = log.column("slot")
        own = slots[np.clip(here.end - 1, 0, len(slots) - 1)]
        for slot in np.unique(own).tolist():
            yield slots == slot, here._kept(own == slot)

    def running(self, rows: int) -> np.ndarray:
        """Return how many of the requests ran in each row."""
        changes = np.bincount(self.first, weights=self.sign, minlength=rows + 1)
        changes -= np.bincount(self.end, weights=self.sign, minlength=rows + 1)
        running: np.ndarray = np.cumsum(changes)[:rows]
        return running

    def _kept(self, chosen: np.ndarray) -> _Stays:
        return _Stays(*(column[chosen] for column in vars(self).values()))


def request_shares(
    requests: Sequence[Request], columns: RequestColumns, logs: Sequence[StepLog]
) -> dict[str, np.ndarray]:
    """Return for each request (finished ones; NaN for others) the share of each of `CLASSES`.

    *Equation.* Seconds of resource r for a request = Σ over its engine's rows from its admission
    to its finish, without those during which it was preempted, of the row's seconds of r, as
    a difference of prefix sums; with those of its KV's way, where it came from another replica or from a
    lower tier. Queueing is the rest of e2e. Shares are seconds over e2e.

    **Valid when** a request stays in one of the batches that pass through a pipeline at the same time;
    what it computes in others counts as queueing.

    Checked by: tests/workloads/test_inference_attribution.py (they sum to 1, and equal the sum
    row by row).
    """
    e2e_s = np.where(columns.finished, columns.finish_s - columns.arrival_s, np.nan)
    stays = _Stays.of(requests, columns)
    seconds = {name: np.zeros(len(columns)) for name in CLASSES}
    for replica, log in enumerate(logs):
        for rows, here in stays.on(replica, log):
            for name in CLASSES[1:]:
                prefix = np.concatenate([[0.0], np.cumsum(np.where(rows, _row_seconds(log, name), 0.0))])
                between = here.sign * (prefix[here.end] - prefix[here.first])
                np.add.at(seconds[name], here.request, between)
    for place, resource, value in on_the_way(requests):
        seconds[_class_of(resource)][place] += value
    ran_s = sum(np.maximum(0.0, seconds[name]) for name in CLASSES[1:])
    # A step of a pipeline that began before the request came can be among its rows.
    inside = np.minimum(1.0, e2e_s / np.maximum(ran_s, 1e-300))
    for name in CLASSES[1:]:
        seconds[name] = np.maximum(0.0, seconds[name]) * inside
    seconds[QUEUEING] = np.maximum(0.0, e2e_s - sum(seconds[name] for name in CLASSES[1:]))
    for name in CLASSES:
        seconds[name] /= e2e_s
    return seconds


def service_shares(
    requests: Sequence[Request], columns: RequestColumns, logs: Sequence[StepLog]
) -> dict[str, float]:
    """Return the share of each resource, link by link, in the time of all finished requests.

    *Equation.* share(r) = Σ_requests seconds(r) / Σ_requests e2e, with seconds(r) of a row counted
    once for each request that was running during it.
    """
    finished = columns.finished
    total_s = float((columns.finish_s[finished] - columns.arrival_s[finished]).sum())
    if total_s <= 0.0:
        return {}
    seconds: dict[str, float] = {}
    for log, running in running_rows(requests, columns, logs):
        row, resource, values = log.entries()
        sums = np.bincount(resource, weights=values * running[row], minlength=len(log.resources))
        for name, value in zip(log.resources, sums.tolist(), strict=True):
            seconds[name] = seconds.get(name, 0.0) + value
    for _, name, value in on_the_way(requests):
        seconds[name] = seconds.get(name, 0.0) + value
    seconds[QUEUEING] = max(0.0, total_s - sum(seconds.values()))
    whole_s = sum(seconds.values())
    return {name: value / whole_s for name, value in _largest_first(seconds).items() if value > 0.0}


def running_rows(
    requests: Sequence[Request], columns: RequestColumns, logs: Sequence[StepLog]
) -> Iterator[tuple[StepLog, np.ndarray]]:
    """Yield each log, and how many of the finished requests ran in each of its rows."""
    stays = _Stays.of(requests, columns)
    for replica, log in enumerate(logs):
        running = np.zeros(len(log))
        for rows, here in stays.on(replica, log):
            running[rows] = here.running(len(log))[rows]
        yield log, running


def on_the_way(requests: Sequence[Request]) -> Iterator[tuple[int, str, float]]:
    """Seconds by resource that a finished request waited for its KV to come from elsewhere."""
    for place, request in enumerate(requests):
        if not request.finished:
            continue
        for way in (request.handover and request.handover.shares, request.loading_s):
            for name, value in (way or {}).items():
                yield place, name, value


def _class_of(resource: str) -> str:
    """One of `CLASSES`; what none stands for is waiting."""
    name = resource.partition(":")[0]
    return name if name in CLASSES else QUEUEING


def _row_seconds(log: StepLog, name: str) -> np.ndarray:
    """Seconds of one of `CLASSES` in each row."""
    rows, resources, values = log.entries()
    numbers = [number for resource, number in log.resources.items() if resource.partition(":")[0] == name]
    chosen = np.isin(resources, numbers)
    return np.bincount(rows[chosen], weights=values[chosen], minlength=len(log))


def _largest_first(seconds: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(seconds.items(), key=lambda item: (-item[1], item[0])))
