"""What each pool of a service did: its part of the queries' latency, its batches, how busy it was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.workloads.base import Table
from clustersim.workloads.ranking.inference.measures.served import ServedQueries, Visits

__all__ = ["pool_metrics", "pool_table"]

_PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p99": 0.99}


def pool_metrics(served: ServedQueries, spec: RankingInferenceSpec) -> dict[str, float]:
    """Return the metrics of each pool, its name between metric and statistic; see `columns.METRICS`.

    *Equation.* A query's time in a stage is from the end of the one before (or its arrival) to its last
    score here, so that the stages' times add up to its latency.
    """
    if len(served.visits) < 2:
        return {}
    shares = {stage.name: stage.latency_share for stage in spec.stages}
    found: dict[str, float] = {}
    for visits in served.visits:
        found |= _metrics(served, visits, _limit_s(spec, shares.get(visits.name)))
    return found


def _limit_s(spec: RankingInferenceSpec, share: float | None) -> float | None:
    return None if share is None or spec.slo.latency is None else share * spec.slo.latency


def _metrics(served: ServedQueries, visits: Visits, limit_s: float | None) -> dict[str, float]:
    latency_s = _latency_s(served, visits)
    if not len(latency_s):
        return {}
    name = visits.name
    found = {f"pool_latency_s.{name}.mean": float(latency_s.mean())}
    for statistic, level in _PERCENTILES.items():
        found[f"pool_latency_s.{name}.{statistic}"] = float(np.quantile(latency_s, level))
    if limit_s is not None:
        found[f"pool_attainment.{name}"] = float((latency_s <= limit_s).mean())
    log = visits.log
    after = log.column("end_s") > served.counted_from_s
    if after.any():
        found[f"pool_batch_samples.{name}"] = float(log.column("samples")[after].mean())
        span_s = float(log.column("end_s").max()) - served.counted_from_s
        busy_s = float((visits.of_batches("device_s") * log.column("factor"))[after].sum())
        found[f"pool_utilization.{name}"] = min(1.0, busy_s / (visits.devices * span_s))
    return found


def _latency_s(served: ServedQueries, visits: Visits) -> np.ndarray:
    """Times of visits that are over, of queries that count."""
    times: np.ndarray = visits.queries.column("finish_s") - visits.queries.column("arrival_s")
    found: np.ndarray = times[visits.finished & _counted(served, visits)]
    return found


def _counted(served: ServedQueries, visits: Visits) -> np.ndarray:
    arrival_s = served.queries.column("arrival_s")
    own: np.ndarray = arrival_s if visits.origin is None else arrival_s[visits.origin]
    counted: np.ndarray = own >= served.counted_from_s
    return counted


def pool_table(served: ServedQueries) -> dict[str, Table]:
    """Return the table of visits, one row per query and pool, where there are several pools."""
    if len(served.visits) < 2:
        return {}
    number = np.empty(len(served.order), dtype=np.int64)
    number[served.order] = np.arange(len(served.order))
    parts = [_visits(visits, number) for visits in served.visits]
    names = [np.full(len(part["query"]), each.name) for part, each in zip(parts, served.visits, strict=True)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {"visits": {"pool": np.concatenate(names), **columns}}


def _visits(visits: Visits, number: np.ndarray) -> dict[str, np.ndarray]:
    queries = visits.queries
    assert visits.origin is not None
    return {
        "query": number[visits.origin],
        "replica": queries.column("replica"),
        "candidates": queries.column("samples"),
        "begin_s": queries.column("arrival_s"),
        "submitted_s": queries.column("submitted_s"),
        "dispatched_s": queries.column("dispatched_s"),
        "finish_s": queries.column("finish_s"),
    }
