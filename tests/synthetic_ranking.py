"""Made-up outcomes of a ranking job and a ranking service with round numbers."""

from __future__ import annotations

import numpy as np

import synthetic_result
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, QUEUEING, link_resource
from clustersim.report.words import RANKING_BREAKDOWN
from clustersim.results import Result
from clustersim.spec.scenario import Scenario
from clustersim.workloads.base import Outcome

PARTS = {
    "dense_s": 4e-3,
    "embedding_s": 3e-3,
    "exposed_forward_s": 1e-3,
    "exposed_backward_s": 1e-3,
    "host_s": 0.5e-3,
    "waiting_s": 0.5e-3,
}
"""Of a step of 10 ms, mean over ranks."""


def job() -> Outcome:
    """Three steps of 10 ms on four ranks; tables take twice as long on rank 1 as on the others together."""
    rows, ranks = 3, 4
    columns = {name: np.full(rows, PARTS.get(name, 0.0)) for name, _ in RANKING_BREAKDOWN}
    iterations = {
        "iteration": np.arange(rows),
        "start_s": 0.01 * np.arange(rows),
        "duration_s": np.full(rows, 0.01),
        **columns,
        "slowest_rank": np.ones(rows, dtype=int),
    }
    by_rank = {name: np.full(ranks, PARTS.get(name, 0.0)) for name, _ in RANKING_BREAKDOWN}
    by_rank["embedding_s"] = np.array([2.8e-3, 3.5e-3, 2.9e-3, 2.8e-3])
    by_rank["waiting_s"] = np.array([0.7e-3, 0.0, 0.6e-3, 0.7e-3])
    table = {
        "rank": np.arange(ranks),
        "gpu": np.array([f"node0/gpu{rank}" for rank in range(ranks)]),
        "lookups": np.array([1e6, 2e6, 1e6, 1e6]),
        "forward_bytes": np.full(ranks, 2.0**20),
        "memory_bytes": np.array([1.0, 3.0, 2.0, 2.0]) * 2.0**30,
        **by_rank,
    }
    memory = {
        "rank": np.repeat(np.arange(ranks), 2),
        "use": np.tile(["tables", "activations"], ranks),
        "bytes": np.array([0.5, 0.5, 2.5, 0.5, 1.5, 0.5, 1.5, 0.5]) * 2.0**30,
    }
    metrics = {"iteration_s.mean": 0.01, "iteration_s.p50": 0.01, "iteration_s.p99": 0.01, **PARTS}
    metrics |= {"samples_per_s": 4e5, "memory_bytes": 3 * 2.0**30, "hbm_utilization": 0.4, "mfu": 0.12}
    metrics |= {"forward_bytes": 2.0**20, "backward_bytes": 2.0**20, "all_reduce_bytes": 0.0, "kernels": 40.0}
    metrics |= {"embedding_imbalance": 3.5 / 3.0, "price_usd_per_h": 12.0}
    shares = {COMPUTE: 0.4, MEMORY_BANDWIDTH: 0.35, link_resource(synthetic_result.UPLINK): 0.2, HOST: 0.05}
    facts: dict[str, float | str] = {"model": "dlrm", "gpus": 4.0, "accelerator": "a100"}
    tables = {"iterations": iterations, "ranks": table, "memory": memory}
    return Outcome("dlrm", "ranking-training", metrics, tables, shares, True, (), facts)


def service(*, queries: int = 200) -> Outcome:
    """Queries one after the other; each takes 1 ms, one in twenty waits 9 ms more. 10 % are the warm-up."""
    number = np.arange(queries)
    waits = number % 20 == 19
    arrival_s = 0.01 * number
    queue_s = np.where(waits, 9e-3, 0.0)
    latency_s = 1e-3 + queue_s
    batch = {COMPUTE: 0.5e-3, MEMORY_BANDWIDTH: 0.3e-3, HOST: 0.2e-3}
    table = {
        "query": number,
        "replica": number % 2,
        "counted": number >= queries // 10,
        "arrival_s": arrival_s,
        "candidates": np.where(waits, 500, 100),
        "finish_s": arrival_s + latency_s,
        "queue_s": queue_s,
        "latency_s": latency_s,
        f"{QUEUEING}_share": queue_s / latency_s,
        **{f"{name}_share": seconds / latency_s for name, seconds in batch.items()},
    }
    batches = {
        "replica": number % 2,
        "worker": np.zeros(queries, dtype=int),
        "samples": table["candidates"],
        "queries": np.ones(queries, dtype=int),
        "start_s": arrival_s + queue_s,
        "end_s": arrival_s + latency_s,
        "waited_s": np.zeros(queries),
        "kernels_s": np.full(queries, 0.8e-3),
    }
    found = latency_s[table["counted"]]
    points = {f"p{level:g}": float(np.percentile(found, level)) for level in (50, 90, 95, 99)}
    metrics = {"latency_s.mean": float(found.mean())} | {f"latency_s.{name}": points[name] for name in points}
    metrics |= {"queue_s.mean": 0.45e-3, "queue_s.p99": 9e-3}
    metrics |= {"queries_sent": 180.0, "queries_finished": 180.0, "queries_per_s": 100.0}
    metrics |= {"samples_per_s": 12_000.0, "slo_attainment": 0.95, "goodput_per_s": 95.0}
    metrics |= {"batch_samples.mean": 120.0, "batch_queries.mean": 1.0, "utilization": 0.04, "hit_rate": 0.9}
    metrics |= {"memory_bytes": 2.0**30, "joules_per_query": 0.5, "usd_per_million_queries": 2.0}
    facts: dict[str, float | str] = {"model": "dlrm", "gpus": 2.0, "accelerator": "a100", "replicas": 2.0}
    shares = {COMPUTE: 0.34, QUEUEING: 0.31, MEMORY_BANDWIDTH: 0.21, HOST: 0.14}
    tables = {"queries": table, "batches": batches}
    return Outcome("feed", "ranking-inference", metrics, tables, shares, True, (), facts)


def scenario() -> Scenario:
    """A service with an objective of 5 ms, beside a job."""
    return Scenario.from_dict(
        {
            "name": "ranking",
            "cluster": synthetic_result.scenario().cluster.model_dump(exclude_unset=True, mode="json"),
            "workloads": [
                {
                    "kind": "ranking-training",
                    "name": "dlrm",
                    "model": "dlrm-dcnv2-mlperf",
                    "gpus": 4,
                    "batch": 1000,
                    "steps": 3,
                },
                {
                    "kind": "ranking-inference",
                    "name": "feed",
                    "model": "dlrm-nvidia-4b",
                    "replicas": 2,
                    "arrivals": {"kind": "fixed", "rate": "100 qps"},
                    "candidates": {"kind": "fixed", "samples": 100},
                    "queries": 200,
                    "slo": {"latency": "5 ms"},
                },
            ],
        }
    )


def result(*outcomes: Outcome) -> Result:
    """The result of a run with these outcomes; of both, where none are given."""
    every = outcomes or (job(), service())
    named = {outcome.name: outcome for outcome in every}
    return synthetic_result.result(scenario=scenario(), outcomes=named, trace=())


def cascade() -> Outcome:
    """The service with a stage before its model, and an experiment on the model's traffic."""
    outcome = service()
    queries = outcome.tables["queries"]
    number, arrival_s, finish_s = (queries[name] for name in ("query", "arrival_s", "finish_s"))
    between_s = arrival_s + 0.4 * (finish_s - arrival_s)
    last = np.where(number % 4 == 0, "variant", "rank")
    visits = {
        "pool": np.concatenate((np.full(len(number), "early"), last)),
        "query": np.concatenate((number, number)),
        "candidates": np.concatenate((queries["candidates"], np.full(len(number), 50))),
        "begin_s": np.concatenate((arrival_s, between_s)),
        "finish_s": np.concatenate((between_s, finish_s)),
    }
    metrics = dict(outcome.metrics)
    for place, (pool, mean_s) in enumerate((("early", 0.58e-3), ("rank", 0.87e-3), ("variant", 0.87e-3))):
        metrics |= {f"pool_latency_s.{pool}.{name}": mean_s for name in ("mean", "p50", "p99")}
        metrics |= {f"pool_batch_samples.{pool}": 100.0, f"pool_utilization.{pool}": 0.1 * (place + 1)}
    metrics |= {"pool_attainment.early": 0.95, "experiment_share": 0.25}
    arms = {"control": 1.40e-3, "variant": 1.55e-3, "difference": 0.15e-3, "low": 0.05e-3, "high": 0.25e-3}
    metrics |= {f"experiment_latency_s.mean.{name}": value for name, value in arms.items()}
    metrics |= {"experiment_engagement.mean.control": 0.05, "experiment_engagement.mean.variant": 0.055}
    metrics |= {"experiment_engagement.mean.difference": 0.005}
    tables = {**outcome.tables, "visits": visits}
    tables["batches"] = {"pool": last} | dict(outcome.tables["batches"])
    return Outcome("feed", outcome.kind, metrics, tables, outcome.attribution, True, (), outcome.facts)
