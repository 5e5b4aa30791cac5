"""Metrics of a ranking service, from the columns of its queries and batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.workloads.needs import Needs
from clustersim.workloads.ranking.inference.measures.served import ServedQueries
from clustersim.workloads.serving.confidence import Estimate, estimates
from clustersim.workloads.serving.overload import queue_growth

__all__ = ["PERCENTILES", "UNIT", "latency_estimates", "metrics"]

PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""Statistics of latencies beside the mean, and their levels."""
UNIT = "sample"
"""What the service does: candidates that get their scores."""


def metrics(served: ServedQueries, latencies: Mapping[str, Mapping[str, Estimate]]) -> dict[str, float]:
    """Return the flat metrics; see `columns.METRICS`. What cannot be computed is left out."""
    span_s = _span_s(served)
    rates = _rates(served, span_s)
    return {
        **{
            f"{name}.{statistic}": estimate.value
            for name, found in latencies.items()
            for statistic, estimate in found.items()
        },
        **_counts(served),
        **rates,
        **_objective(served, span_s),
        **_overload(served),
        **_batches(served, span_s),
        **_prices(served, span_s, rates),
        **_needs(served, span_s),
        "memory_bytes": served.memory_bytes,
        **({} if served.hit_rate is None else {"hit_rate": served.hit_rate}),
    }


def latency_estimates(served: ServedQueries) -> dict[str, dict[str, Estimate]]:
    """Return mean and percentiles, with intervals, of latency and of waiting for first workers."""
    chosen = served.counted & served.finished
    return {
        "latency_s": estimates(served.latency_s[chosen], PERCENTILES),
        "queue_s": estimates(served.waiting_s[chosen], PERCENTILES),
    }


def _counts(served: ServedQueries) -> dict[str, float]:
    sent, finished = served.counted, served.counted & served.finished
    found = {
        "queries_sent": float(sent.sum()),
        "queries_finished": float(finished.sum()),
        "queries_unfinished": float(sent.sum() - finished.sum()),
    }
    arrival_s = served.arrival_s[sent]
    if len(arrival_s) > 1 and np.ptp(arrival_s) > 0.0:
        found["queries_sent_per_s"] = (len(arrival_s) - 1) / float(np.ptp(arrival_s))
    return found


def _span_s(served: ServedQueries) -> float:
    """Seconds from the end of the warm-up to the last answer (to now, where some are unfinished)."""
    counted = served.finished & served.counted
    if not counted.any():
        return 0.0
    end_s = float(served.finish_s[counted].max()) if served.finished.all() else served.now_s
    return end_s - served.counted_from_s


def _rates(served: ServedQueries, span_s: float) -> dict[str, float]:
    """Rates over the time after the warm-up, answers to queries of the warm-up included."""
    if span_s <= 0.0:
        return {}
    answered = served.finish_s > served.counted_from_s
    return {
        "queries_per_s": float(answered.sum()) / span_s,
        "samples_per_s": float(served.samples[answered].sum()) / span_s,
    }


def _objective(served: ServedQueries, span_s: float) -> dict[str, float]:
    """Share of queries within the objective, of those of which it is known, and such queries per second."""
    limit_s = served.slo.latency
    if limit_s is None:
        return {}
    waiting_s = served.now_s - served.arrival_s
    latency_s = np.where(served.finished, served.latency_s, waiting_s)
    kept = latency_s <= limit_s
    decided = served.counted & (served.finished | ~kept)
    found = {"slo_attainment": float(kept[decided].mean())} if decided.any() else {}
    if span_s > 0.0:
        good = served.finished & kept & (served.finish_s > served.counted_from_s)
        found["goodput_per_s"] = float(good.sum()) / span_s
    return found


def _overload(served: ServedQueries) -> dict[str, float]:
    growth = queue_growth(served.arrival_s, served.finish_s)
    if growth is None:
        return {}
    return {"queue_growth_per_s": growth.per_s, "overloaded": float(growth.unbounded)}


def _batches(served: ServedQueries, span_s: float) -> dict[str, float]:
    """Means over batches that ended after the warm-up, and how busy the devices were."""
    after = [visits.log.column("end_s") > served.counted_from_s for visits in served.visits]
    number = sum(int(chosen.sum()) for chosen in after)
    if not number:
        return {}
    found = {
        f"batch_{name}.mean": sum(
            float(visits.log.column(name)[chosen].sum())
            for visits, chosen in zip(served.visits, after, strict=True)
        )
        / number
        for name in ("samples", "queries")
    }
    found["batches"] = float(number)
    if span_s > 0.0:
        busy_s = sum(
            float((visits.of_batches("device_s") * visits.log.column("factor"))[chosen].sum())
            for visits, chosen in zip(served.visits, after, strict=True)
        )
        devices = sum(visits.devices for visits in served.visits)
        found["utilization"] = min(1.0, busy_s / (devices * span_s))
    return found


def _prices(served: ServedQueries, span_s: float, rates: Mapping[str, float]) -> dict[str, float]:
    running, queries_per_s = served.running, rates.get("queries_per_s", 0.0)
    if running is None or span_s <= 0.0 or queries_per_s <= 0.0:
        return {}
    found: dict[str, float] = {}
    busy = _batches(served, span_s).get("utilization", 0.0)
    power_w = running.power_w(float(served.gpus), busy)
    if power_w is not None:
        found |= {"power_w": power_w, "joules_per_query": power_w / queries_per_s}
    usd_per_s = running.usd_per_s(float(served.gpus))
    if usd_per_s is not None:
        found["price_usd_per_h"] = 3600.0 * usd_per_s
        found["usd_per_million_queries"] = 1e6 * usd_per_s / queries_per_s
    return found


def _needs(served: ServedQueries, span_s: float) -> dict[str, float]:
    """Return the `work.*` metrics over all batches, the warm-up included; samples are the last stage's."""
    done = {
        name: sum(float(visits.of_batches(name).sum()) for visits in served.visits)
        for name in ("flops", "hbm_bytes", "network_bytes", "messages")
    }
    samples = sum(float(each.log.column("samples").sum()) for each in served.visits if each.final)
    return Needs(unit=UNIT, units=samples, **done).metrics(span_s + served.warmup_s)
