"""Metrics of an inference service, from its requests and step logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.workloads.inference.cache.usage import cache_metrics
from clustersim.workloads.inference.measures.engine_metrics import engine_metrics, price_metrics
from clustersim.workloads.inference.measures.groups import Group, groups, metric_name
from clustersim.workloads.inference.measures.needs import service_needs
from clustersim.workloads.inference.measures.objectives import Attainment, attainment
from clustersim.workloads.inference.measures.served import Served
from clustersim.workloads.inference.measures.statistics import Statistic
from clustersim.workloads.serving.confidence import estimates
from clustersim.workloads.serving.overload import queue_growth

__all__ = ["metrics"]

Columns = Mapping[str, np.ndarray]


def metrics(served: Served, table: Columns, statistics: Sequence[Statistic]) -> dict[str, float]:
    """Return the flat metrics; see `columns.METRICS`. What cannot be computed is left out.

    Parameters
    ----------
    table
        Of requests.
    statistics
        Of latencies.
    """
    values = {statistic.name: statistic.estimate.value for statistic in statistics}
    kept = attainment(served, table)
    span_s = _span_s(served, table)
    for group in groups(served):
        found = {
            **_counts(served, group),
            **_throughput(served, table, group, span_s),
            **_objectives(served, table, group, kept, span_s),
        }
        values |= {metric_name(name, group.tenant): value for name, value in found.items()}
    return {
        **values,
        **_overload(served),
        **_fleet(served),
        **_transfers(served),
        **engine_metrics(served),
        **service_needs(served),
        **cache_metrics(served.caches, since_s=served.counted_from_s),
        **price_metrics(served, values),
    }


def _counts(served: Served, group: Group) -> dict[str, float]:
    columns = served.columns
    sent, finished = group.chosen, group.chosen & columns.finished
    found = {
        "requests_sent": float(sent.sum()),
        "requests_finished": float(finished.sum()),
        "requests_unfinished": float(sent.sum() - finished.sum()),
        "preemptions": float(columns.preemptions[sent].sum()),
    }
    arrival_s = columns.arrival_s[sent]
    if len(arrival_s) > 1 and np.ptp(arrival_s) > 0.0:
        found["requests_sent_per_s"] = (len(arrival_s) - 1) / float(np.ptp(arrival_s))
    prompts = float(columns.prompt[finished].sum())
    if served.prefix_caching and prompts:
        found["cache_hit_rate"] = float(columns.cached[finished].sum()) / prompts
    return found


def _span_s(served: Served, table: Columns) -> float:
    """Seconds from the end of the warm-up to the last answer (to now, where some are unfinished)."""
    finished = served.columns.finished
    counted = finished & table["counted"]
    if not counted.any():
        return 0.0
    end_s = float(table["finish_s"][counted].max()) if finished.all() else served.now_s
    return end_s - served.counted_from_s


def _throughput(served: Served, table: Columns, group: Group, span_s: float) -> dict[str, float]:
    """Rates over the time after the warm-up.

    All answers in that time count, those to requests of the warm-up included: where these are
    many, the engines work for them first, and leaving them out would understate the rate.
    """
    if span_s <= 0.0:
        return {}
    answered = group.members & (table["finish_s"] > served.counted_from_s)
    return {
        "requests_per_s": float(answered.sum()) / span_s,
        "input_tokens_per_s": float(table["prompt_tokens"][answered].sum()) / span_s,
        "output_tokens_per_s": float(table["output_tokens"][answered].sum()) / span_s,
    }


def _objectives(
    served: Served, table: Columns, group: Group, kept: Attainment, span_s: float
) -> dict[str, float]:
    """Share of requests that kept every objective, and such requests per second."""
    share = kept.share(group.chosen)
    found = {} if share is None else {"slo_attainment": share}
    good = group.members & kept.promised & kept.kept & (table["finish_s"] > served.counted_from_s)
    if span_s > 0.0 and (group.members & kept.promised).any():
        found["goodput_per_s"] = float(good.sum()) / span_s
    return found


def _overload(served: Served) -> dict[str, float]:
    growth = queue_growth(served.columns.arrival_s, served.columns.finish_s)
    if growth is None:
        return {}
    found = {"queue_growth_per_s": growth.per_s, "overloaded": float(growth.unbounded)}
    if growth.unbounded and growth.answered and served.slo.ttft is not None:
        found["overload_after_s"] = growth.reaches_s(served.slo.ttft)
    return found


def _fleet(served: Served) -> dict[str, float]:
    if served.fleet is None:
        return {}
    held_s = [
        replica.gpus * (served.now_s - served.start_s) if replica.gpu_seconds is None else replica.gpu_seconds
        for replica in served.replicas
    ]
    found = {"gpu_hours": max(0.0, sum(held_s)) / 3600.0}
    if any(event.kind == "fail" for event in served.fleet.events):
        found |= {"requests_lost": float(served.fleet.lost), "retries": float(served.fleet.retries)}
    return found


def _transfers(served: Served) -> dict[str, float]:
    """Times in which KV moved between replicas."""
    moved = [
        (request.handover.transfer_s, request.handover.exposed_s)
        for request, counted in zip(served.requests, _counted(served), strict=True)
        if counted and request.handover is not None and request.finished
    ]
    found: dict[str, float] = {}
    for name, values in zip(("kv_transfer_s", "kv_exposed_s"), np.array(moved).reshape(-1, 2).T, strict=True):
        found |= {f"{name}.{key}": estimate.value for key, estimate in estimates(values).items()}
    return found


def _counted(served: Served) -> list[bool]:
    counted: list[bool] = (served.columns.arrival_s >= served.counted_from_s).tolist()
    return counted
