"""Where the time of queries went: waiting, and the resources that held their last batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING, STORAGE
from clustersim.workloads.ranking.inference.measures.served import ServedQueries, Visits

__all__ = ["CLASSES", "query_shares", "service_shares"]

_NETWORK_BANDWIDTH = "network_bandwidth"
CLASSES = (QUEUEING, COMPUTE, MEMORY_BANDWIDTH, _NETWORK_BANDWIDTH, NETWORK_LATENCY, STORAGE, HOST)
"""What the time of a query is split into; links' bandwidth all together."""


def query_shares(served: ServedQueries) -> dict[str, np.ndarray]:
    """Return for each query, in the order of arrival, the share of each of `CLASSES`; NaN without an answer.

    *Equation.* Each visit to a pool: latency = host (before it stood in the queue) + queueing (until the
    batch of its last piece began) + that batch: its profile's seconds of each resource times its factor, the
    seconds of its copies, and its waiting for other batches, which is queueing as well.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py (they sum to 1).
    """
    count = len(served.queries)
    seconds = {name: np.zeros(count) for name in CLASSES}
    for visits in served.visits:
        for name, values in _visit_seconds(visits).items():
            origin = np.arange(count) if visits.origin is None else visits.origin
            seconds[name] += np.bincount(origin, weights=values, minlength=count)
    total_s = np.sum(list(seconds.values()), axis=0)
    total_s[~np.isfinite(served.queries.column("finish_s"))] = np.nan
    return {name: _shares(values, total_s)[served.order] for name, values in seconds.items()}


def service_shares(served: ServedQueries) -> dict[str, float]:
    """Return the share of each resource, link by link, in the time of all visits that are over.

    *Equation.* share(r) = Σ_visits seconds(r) / Σ_visits latency; largest first.
    """
    seconds: dict[str, float] = {}
    for visits in served.visits:
        for resource, value in _seconds_by_resource(visits):
            seconds[resource] = seconds.get(resource, 0.0) + value
    whole_s = sum(seconds.values())
    if whole_s <= 0.0:
        return {}
    ordered = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
    return {name: value / whole_s for name, value in ordered if value > 0.0}


def _seconds_by_resource(visits: Visits) -> Iterator[tuple[str, float]]:
    """Yield seconds of all visits that are over, part by part."""
    done, log, queries = visits.finished, visits.log, visits.queries
    row = queries.column("batch")[done]
    times = np.bincount(row, minlength=len(log)).astype(float)
    submitted_s = queries.column("submitted_s")[done]
    yield HOST, float((submitted_s - queries.column("arrival_s")[done]).sum())
    yield QUEUEING, float((log.column("dispatched_s")[row] - submitted_s).sum())
    yield QUEUEING, float((log.column("waited_s") * times).sum())
    weights = times * log.column("factor")
    by_profile = np.bincount(log.column("profile"), weights=weights, minlength=len(visits.profiles))
    for profile, weight in zip(visits.profiles, by_profile.tolist(), strict=True):
        for resource, value in profile.shares.items():
            yield resource, weight * value
    rows, numbers, values = log.entries()
    if len(rows):
        sums = np.bincount(numbers, weights=values * times[rows], minlength=len(log.resources))
        yield from zip(log.resources, sums.tolist(), strict=True)


def _visit_seconds(visits: Visits) -> dict[str, np.ndarray]:
    """Return the seconds of each of `CLASSES` in each visit; 0 in those that are not over."""
    queries, done = visits.queries, visits.finished
    batches = _batch_seconds(visits)
    row = queries.column("batch")[done]
    found = {name: np.zeros(len(done)) for name in CLASSES}
    for name in CLASSES:
        found[name][done] = batches[name][row]
    submitted_s = queries.column("submitted_s")[done]
    found[HOST][done] += submitted_s - queries.column("arrival_s")[done]
    found[QUEUEING][done] += visits.log.column("dispatched_s")[row] - submitted_s
    return found


def _batch_seconds(visits: Visits) -> dict[str, np.ndarray]:
    """Seconds of each of `CLASSES` in each batch, its waiting for other batches among them."""
    log = visits.log
    profile, factor = log.column("profile"), log.column("factor")
    found = {name: np.zeros(len(log)) for name in CLASSES}
    for name in CLASSES:
        of_profile = np.array([each.shares.get(name, 0.0) for each in visits.profiles])
        if len(of_profile):
            found[name] += of_profile[profile] * factor
    found[QUEUEING] += log.column("waited_s")
    row, resource, seconds = log.entries()
    names = [_class_of(name) for name in log.resources]
    for name in sorted(set(names)):
        numbers = [number for number, each in enumerate(names) if each == name]
        chosen = np.isin(resource, numbers)
        found[name] += np.bincount(row[chosen], weights=seconds[chosen], minlength=len(log))
    return found


def _class_of(resource: str) -> str:
    """One of `CLASSES`; what none stands for is waiting."""
    name = resource.partition(":")[0]
    return name if name in CLASSES else QUEUEING


def _shares(values: np.ndarray, total_s: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(
        values, total_s, out=np.full(len(values), np.nan), where=np.nan_to_num(total_s) > 0.0
    )
    return shares
