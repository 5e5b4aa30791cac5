"""What made the time of queries: their own batches, and those of others that they waited for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.engine.trace import HOST, QUEUEING
from clustersim.workloads.ranking.inference.measures.served import ServedQueries, Visits
from clustersim.workloads.serving.waiting import waited_for

__all__ = ["service_causes"]


def service_causes(served: ServedQueries) -> dict[str, float]:
    """Return the share of each resource in the time of all visits that are over, queues included.

    *Equation.* As `service_shares`, but a second in the queue of a replica belongs to what held the batches
    that the replica ran then, divided between those that ran at once; and a batch that waits for copies
    and kernels of others waits for what these take of network and device. Seconds in which the replica
    ran nothing, while a batch filled, stay `queueing`.

    **Valid when** batches of a pool are of similar kind, so that what one waits for is what all do.
    **Checked by:** tests/study/test_radar_reruns.py, against runs with each resource slower and faster.
    """
    seconds: dict[str, float] = {}
    for visits in served.visits:
        for resource, value in _seconds(visits).items():
            seconds[resource] = seconds.get(resource, 0.0) + value
    whole_s = sum(seconds.values())
    if whole_s <= 0.0:
        return {}
    return {name: value / whole_s for name, value in seconds.items() if value > 0.0}


def _seconds(visits: Visits) -> dict[str, float]:
    """Seconds of all visits that are over, by resource."""
    done, log, queries = visits.finished, visits.log, visits.queries
    row = queries.column("batch")[done]
    submitted_s = queries.column("submitted_s")[done]
    times = np.bincount(row, minlength=len(log)).astype(float)
    since_s, until_s = submitted_s, log.column("dispatched_s")[row]
    idle_s = 0.0
    for replica in np.unique(log.column("replica")).tolist():
        rows = log.column("replica") == replica
        here = rows[row]
        waited = waited_for(
            log.column("dispatched_s")[rows],
            log.column("end_s")[rows],
            since_s=since_s[here],
            until_s=until_s[here],
        )
        times[rows] += waited.times
        idle_s += waited.idle_s
    found = _of_batches(visits, times)
    found[HOST] = found.get(HOST, 0.0) + float((submitted_s - queries.column("arrival_s")[done]).sum())
    found[QUEUEING] = found.get(QUEUEING, 0.0) + idle_s
    return found


def _of_batches(visits: Visits, times: np.ndarray) -> dict[str, float]:
    """Seconds by resource of batches that count so many times each."""
    log = visits.log
    found: dict[str, float] = {}
    weights = times * log.column("factor")
    by_profile = np.bincount(log.column("profile"), weights=weights, minlength=len(visits.profiles))
    for profile, weight in zip(visits.profiles, by_profile.tolist(), strict=True):
        for resource, value in profile.shares.items():
            found[resource] = found.get(resource, 0.0) + weight * value
    rows, numbers, values = log.entries()
    if len(rows):
        sums = np.bincount(numbers, weights=values * times[rows], minlength=len(log.resources))
        for resource, value in zip(log.resources, sums.tolist(), strict=True):
            found[resource] = found.get(resource, 0.0) + value
    return _with_waiting(found, waiting_s=float((log.column("waited_s") * times).sum()))


def _with_waiting(seconds: Mapping[str, float], *, waiting_s: float) -> dict[str, float]:
    """Give waiting for others' turns on device and links to what these take turns on."""
    shared_s = sum(value for name, value in seconds.items() if name != HOST)
    if not waiting_s or not shared_s:
        return {**seconds, QUEUEING: waiting_s}
    return {
        name: value if name == HOST else value * (1.0 + waiting_s / shared_s)
        for name, value in seconds.items()
    }
