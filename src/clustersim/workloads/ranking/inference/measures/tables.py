"""Tables of a ranking service: queries, batches, statistics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.ranking.inference.measures.attribution import query_shares
from clustersim.workloads.ranking.inference.measures.served import ServedQueries, Visits
from clustersim.workloads.serving.confidence import Estimate

__all__ = ["service_tables"]

_MOST_BATCH_ROWS = 200_000


def service_tables(
    served: ServedQueries, latencies: Mapping[str, Mapping[str, Estimate]]
) -> dict[str, Table]:
    """Return all tables; see `columns.TABLES`."""
    return {
        "queries": _query_table(served),
        "batches": _batch_table(served),
        "statistics": _statistics_table(served, latencies),
    }


def _query_table(served: ServedQueries) -> dict[str, np.ndarray]:
    """Return one row per query that was sent, in the order of arrival."""
    table = {
        "query": np.arange(len(served.arrival_s)),
        "replica": served.column("replica"),
        "counted": served.counted,
        "arrival_s": served.arrival_s,
        "candidates": served.samples,
        "submitted_s": served.column("submitted_s"),
        "dispatched_s": served.column("dispatched_s"),
        "finish_s": served.finish_s,
        "queue_s": served.waiting_s,
        "latency_s": served.latency_s,
    }
    return table | {f"{name}_share": column for name, column in query_shares(served).items()}


def _batch_table(served: ServedQueries) -> dict[str, np.ndarray]:
    """Return the batches of each pool in the order of their end, at most 200,000 (then evenly thinned)."""
    number = sum(len(visits.log) for visits in served.visits)
    stride = -(-number // _MOST_BATCH_ROWS) or 1
    parts = [_batches(visits, stride) for visits in served.visits]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if len(parts) > 1:
        names = [
            np.full(len(part["end_s"]), each.name) for part, each in zip(parts, served.visits, strict=True)
        ]
        table = {"pool": np.concatenate(names)} | table
    return table


def _batches(visits: Visits, stride: int) -> dict[str, np.ndarray]:
    log = visits.log
    columns = {name: log.column(name)[::stride] for name in ("replica", "worker", "samples", "queries")}
    kernels_s = visits.of_batches("device_s") * log.column("factor") if len(log) else np.zeros(0)
    return columns | {
        "start_s": log.column("dispatched_s")[::stride],
        "end_s": log.column("end_s")[::stride],
        "waited_s": log.column("waited_s")[::stride],
        "kernels_s": kernels_s[::stride],
    }


def _statistics_table(
    served: ServedQueries, latencies: Mapping[str, Mapping[str, Estimate]]
) -> dict[str, np.ndarray]:
    rows = [
        (metric, statistic, estimate)
        for metric, found in latencies.items()
        for statistic, estimate in found.items()
    ]
    samples = int((served.counted & served.finished).sum())
    return {
        "metric": np.array([metric for metric, _, _ in rows], dtype=str),
        "statistic": np.array([statistic for _, statistic, _ in rows], dtype=str),
        "value": np.array([estimate.value for _, _, estimate in rows], dtype=float),
        "low": np.array([estimate.low for _, _, estimate in rows], dtype=float),
        "high": np.array([estimate.high for _, _, estimate in rows], dtype=float),
        "samples": np.full(len(rows), samples),
    }
