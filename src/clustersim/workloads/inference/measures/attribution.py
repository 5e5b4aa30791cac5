"""Where the time of requests went: waiting in queues, and the resources that held their engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request

__all__ = ["CLASSES", "request_shares", "service_shares"]

_NETWORK_BANDWIDTH = "network_bandwidth"
CLASSES = (QUEUEING, COMPUTE, MEMORY_BANDWIDTH, _NETWORK_BANDWIDTH, NETWORK_LATENCY, HOST)
"""What the time of a request is split into; links' bandwidth all together."""


def request_shares(requests: Sequence[Request], logs: Sequence[StepLog]) -> dict[str, np.ndarray]:
    """Return for each request (finished ones; NaN for others) the share of each of `CLASSES`.

    *Equation.* Seconds of resource r for a request = Σ over the engine's rows from its admission
    to its finish, without those during which it was preempted, of the row's seconds of r, as
    a difference of prefix sums; queueing is the rest of e2e. Shares are seconds over e2e.

    Checked by: tests/workloads/test_inference_attribution.py (they sum to 1, and equal the sum
    row by row).
    """
    shares = {name: np.full(len(requests), np.nan) for name in CLASSES}
    for replica, log in enumerate(logs):
        places = [i for i, request in enumerate(requests) if request.replica == replica and request.finished]
        if not places:
            continue
        mine = [requests[i] for i in places]
        e2e_s = np.array([request.finish_s - request.arrival_s for request in mine])
        explained_s = np.zeros(len(mine))
        for name in CLASSES[1:]:
            seconds = _seconds_between(mine, _row_seconds(log, name))
            explained_s += seconds
            shares[name][places] = seconds / e2e_s
        shares[QUEUEING][places] = np.maximum(0.0, e2e_s - explained_s) / e2e_s
    return shares


def service_shares(requests: Sequence[Request], logs: Sequence[StepLog]) -> dict[str, float]:
    """Return the share of each resource, link by link, in the time of all finished requests.

    *Equation.* share(r) = Σ_requests seconds(r) / Σ_requests e2e, with seconds(r) of a row counted
    once for each request that was running during it.
    """
    finished = [request for request in requests if request.finished]
    total_s = sum(request.finish_s - request.arrival_s for request in finished)
    if total_s <= 0.0:
        return {}
    seconds: dict[str, float] = {}
    for replica, log in enumerate(logs):
        running = _running([request for request in finished if request.replica == replica], len(log))
        rows, resources, values = log.entries()
        sums = np.bincount(resources, weights=values * running[rows], minlength=len(log.resources))
        for name, value in zip(log.resources, sums.tolist(), strict=True):
            seconds[name] = seconds.get(name, 0.0) + value
    seconds[QUEUEING] = max(0.0, total_s - sum(seconds.values()))
    whole_s = sum(seconds.values())
    return {name: value / whole_s for name, value in _largest_first(seconds).items() if value > 0.0}


def _row_seconds(log: StepLog, name: str) -> np.ndarray:
    """Seconds of one of `CLASSES` in each row."""
    rows, resources, values = log.entries()
    numbers = [number for resource, number in log.resources.items() if resource.partition(":")[0] == name]
    chosen = np.isin(resources, numbers)
    return np.bincount(rows[chosen], weights=values[chosen], minlength=len(log))


def _seconds_between(requests: Sequence[Request], row_seconds: np.ndarray) -> np.ndarray:
    prefix = np.concatenate([[0.0], np.cumsum(row_seconds)])
    first = np.array([request.first_row for request in requests])
    last = np.array([request.last_row for request in requests])
    seconds = prefix[last + 1] - prefix[first]
    for place, request in enumerate(requests):
        for start, end in request.waits:
            seconds[place] -= prefix[end] - prefix[start]
    positive: np.ndarray = np.maximum(0.0, seconds)
    return positive


def _running(requests: Sequence[Request], rows: int) -> np.ndarray:
    """How many of the requests ran in each row."""
    changes = np.zeros(rows + 1)
    for request in requests:
        changes[request.first_row] += 1
        changes[request.last_row + 1] -= 1
        for start, end in request.waits:
            changes[start] -= 1
            changes[end] += 1
    running: np.ndarray = np.cumsum(changes)[:rows]
    return running


def _largest_first(seconds: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(seconds.items(), key=lambda item: (-item[1], item[0])))
