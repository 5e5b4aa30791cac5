"""What model pushes took, and what they did to the queries that arrived meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.ranking.inference.measures.served import ServedQueries
from clustersim.workloads.ranking.inference.model_push import Pushed

__all__ = ["push_metrics", "push_table"]

_PERCENTILES = {"p50": 0.5, "p99": 0.99}


def push_metrics(served: ServedQueries, pushed: Sequence[Pushed]) -> dict[str, float]:
    """Return the metrics of pushes; see `columns.METRICS`. What no query saw is left out."""
    if not pushed:
        return {}
    numbers = np.array([each.push for each in pushed])
    start_s, end_s = (np.array([getattr(each, name) for each in pushed]) for name in ("start_s", "end_s"))
    chosen = [numbers == number for number in np.unique(numbers)]
    begun = np.array([start_s[rows].min() for rows in chosen])
    ended = np.array([end_s[rows].max() for rows in chosen])
    found = {
        "pushes": float(len(chosen)),
        "push_s": float((ended - begun).mean()),
        "push_replica_s": float((end_s - start_s).mean()),
        "push_bytes": float(sum(each.size_bytes for each in pushed)) / len(chosen),
    }
    counts = served.counted & served.finished
    during = _during(served.arrival_s, begun, ended)
    for label, rows in (("during", counts & during), ("between", counts & ~during)):
        latency_s = served.latency_s[rows]
        if len(latency_s):
            found[f"push_latency_s.{label}.mean"] = float(latency_s.mean())
            for statistic, level in _PERCENTILES.items():
                found[f"push_latency_s.{label}.{statistic}"] = float(np.quantile(latency_s, level))
    return found


def _during(arrival_s: np.ndarray, begun_s: np.ndarray, ended_s: np.ndarray) -> np.ndarray:
    """Whether each query arrived between the begin and the end of a push."""
    last = np.searchsorted(begun_s, arrival_s, side="right") - 1
    inside: np.ndarray = (last >= 0) & (arrival_s < ended_s[np.maximum(last, 0)])
    return inside


def push_table(pushed: Sequence[Pushed]) -> dict[str, Table]:
    """Return the table of pushes, one row per push and replica, where there are any."""
    if not pushed:
        return {}
    return {
        "pushes": {
            "push": np.array([each.push for each in pushed]),
            "replica": np.array([each.replica for each in pushed]),
            "start_s": np.array([each.start_s for each in pushed]),
            "end_s": np.array([each.end_s for each in pushed]),
            "size_bytes": np.array([each.size_bytes for each in pushed]),
        }
    }
