"""Where the time of queries went: waiting, and the resources that held their last batch."""

from __future__ import annotations

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NETWORK_LATENCY, QUEUEING, STORAGE
from clustersim.workloads.ranking.inference.measures.served import ServedQueries

__all__ = ["CLASSES", "query_shares", "service_shares"]

_NETWORK_BANDWIDTH = "network_bandwidth"
CLASSES = (QUEUEING, COMPUTE, MEMORY_BANDWIDTH, _NETWORK_BANDWIDTH, NETWORK_LATENCY, STORAGE, HOST)
"""What the time of a query is split into; links' bandwidth all together."""


def query_shares(served: ServedQueries) -> dict[str, np.ndarray]:
    """Return for each query, in the order of arrival, the share of each of `CLASSES`; NaN without an answer.

    *Equation.* latency = host (before it stood in the queue) + queueing (until the batch of its last piece
    began) + that batch: its profile's seconds of each resource times its factor, the seconds of its copies,
    and its waiting for other batches, which is queueing as well.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_attribution.py (they sum to 1).
    """
    batches = _batch_seconds(served)
    row = served.column("batch")
    done = served.finished
    seconds = {
        name: np.where(done, batches[name][row] if len(batches[name]) else 0.0, np.nan) for name in CLASSES
    }
    submitted_s = served.column("submitted_s")
    begun_s = served.log.column("dispatched_s")
    seconds[HOST] += submitted_s - served.arrival_s
    seconds[QUEUEING] += np.where(done, begun_s[row] if len(begun_s) else 0.0, np.nan) - submitted_s
    total_s = sum(seconds.values())
    return {name: _shares(values, total_s) for name, values in seconds.items()}


def service_shares(served: ServedQueries) -> dict[str, float]:
    """Return the share of each resource, link by link, in the time of all answered queries.

    *Equation.* share(r) = Σ_queries seconds(r) / Σ_queries latency; largest first.
    """
    done = served.finished
    if not done.any():
        return {}
    times = np.bincount(served.column("batch")[done], minlength=len(served.log)).astype(float)
    log = served.log
    seconds = {HOST: float((served.column("submitted_s") - served.arrival_s)[done].sum())}
    begun_s = log.column("dispatched_s")[served.column("batch")[done]]
    waiting_s = float((begun_s - served.column("submitted_s")[done]).sum())
    seconds[QUEUEING] = waiting_s + float((log.column("waited_s") * times).sum())
    by_profile = np.bincount(
        log.column("profile"), weights=times * log.column("factor"), minlength=len(served.profiles)
    )
    for profile, weight in zip(served.profiles, by_profile.tolist(), strict=True):
        for resource, value in profile.shares.items():
            seconds[resource] = seconds.get(resource, 0.0) + weight * value
    row, resource_number, values = log.entries()
    if len(row):
        sums = np.bincount(resource_number, weights=values * times[row], minlength=len(log.resources))
        for resource, value in zip(log.resources, sums.tolist(), strict=True):
            seconds[resource] = seconds.get(resource, 0.0) + value
    whole_s = sum(seconds.values())
    if whole_s <= 0.0:
        return {}
    ordered = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
    return {name: value / whole_s for name, value in ordered if value > 0.0}


def _batch_seconds(served: ServedQueries) -> dict[str, np.ndarray]:
    """Seconds of each of `CLASSES` in each batch, its waiting for other batches among them."""
    log = served.log
    profile, factor = log.column("profile"), log.column("factor")
    found = {name: np.zeros(len(log)) for name in CLASSES}
    for name in CLASSES:
        of_profile = np.array([each.shares.get(name, 0.0) for each in served.profiles])
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
