"""Metrics and tables of a job, from its steps and from what was known before."""

from __future__ import annotations

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.ranking.training.job import RankingJob
from clustersim.workloads.ranking.training.program import Collective, HostMove, Kernels
from clustersim.workloads.ranking.training.step_log import StepLog
from clustersim.workloads.running_cost import RunningCost

__all__ = ["metrics_of", "tables_of"]

_DAY_S = 86_400.0
_HOUR_S = 3600.0
_J_PER_KWH = 3.6e6


def metrics_of(job: RankingJob, log: StepLog, running_cost: RunningCost) -> dict[str, float]:
    """Return all metrics; those of the steps only where one has ended."""
    metrics = log.metrics()
    metrics["memory_bytes"] = job.memory_bytes
    metrics["embedding_imbalance"] = _imbalance(job.work.lookup.seconds + job.work.update.seconds)
    metrics |= _traffic(job)
    if "iteration_s.mean" not in metrics:
        return metrics
    metrics |= job.needs(len(log)).metrics(log.seconds)
    metrics |= _utilisation(job, metrics)
    return metrics | _economics(job, metrics, running_cost)


def _imbalance(seconds: np.ndarray) -> float:
    """Slowest rank over the mean of all."""
    mean = float(seconds.mean())
    return float(seconds.max()) / mean if mean else 1.0


def _traffic(job: RankingJob) -> dict[str, float]:
    """Bytes of a step per GPU, and kernels that its host launches."""
    exchanged = {"index": 0.0, "forward": 0.0, "backward": 0.0, "all_reduce": 0.0}
    for task in job.program.tasks:
        if isinstance(task.work, Collective) and task.part in exchanged:
            size = task.work.size
            per_rank = float(np.sum(size)) / len(job.gpus) if task.part != "all_reduce" else float(size)
            exchanged[task.part] += per_rank
    launched = sum(task.work.count for task in job.program.tasks if isinstance(task.work, Kernels))
    return {f"{part}_bytes": size for part, size in exchanged.items()} | {"kernels": float(launched)}


def _utilisation(job: RankingJob, metrics: dict[str, float]) -> dict[str, float]:
    """What a step uses of memory bandwidth and arithmetic of the mean GPU, and what launching costs it."""
    step_s, accelerator = metrics["iteration_s.mean"], job.accelerator
    hbm_bytes = float(job.cost.hbm_bytes.mean())
    flops = job.cost.flops / len(job.gpus)
    return {
        "hbm_utilization": hbm_bytes / step_s / accelerator.memory_bandwidth_bytes_per_s,
        "mfu": flops / step_s / accelerator.peak(job.spec.precision),
        "host_bound_share": metrics["host_s"] / step_s,
    }


def _economics(job: RankingJob, metrics: dict[str, float], cost: RunningCost) -> dict[str, float]:
    """Power, price, and what a run over `economics.samples` takes."""
    found: dict[str, float] = {}
    gpus = len(job.gpus)
    kernels_s = metrics["embedding_s"] + metrics["dense_s"] + metrics["optimizer_s"]
    power_w = cost.power_w(gpus, min(1.0, kernels_s / metrics["iteration_s.mean"]))
    usd_per_s = cost.usd_per_s(gpus)
    if power_w is not None:
        found["power_w"] = power_w
    if usd_per_s is not None:
        found["price_usd_per_h"] = usd_per_s * _HOUR_S
    if job.spec.economics.samples is not None:
        run_s = job.spec.economics.samples / metrics["samples_per_s"]
        found["run_days"] = run_s / _DAY_S
        found |= {} if power_w is None else {"run_energy_kwh": power_w * run_s / _J_PER_KWH}
        found |= {} if usd_per_s is None else {"run_price_usd": usd_per_s * run_s}
    return found


def tables_of(job: RankingJob, log: StepLog) -> dict[str, Table]:
    """Return all tables."""
    return {
        "iterations": log.table(),
        "ranks": _ranks(job, log),
        "memory": job.memory.table(),
        "shards": _shards(job),
        "tasks": _tasks(job),
    }


def _ranks(job: RankingJob, log: StepLog) -> Table:
    ranks, plan, batch = len(job.gpus), job.plan, job.cost.batch
    sent = plan.forward_bytes(batch, job.cost.forward_precision)
    return {
        "rank": np.arange(ranks),
        "gpu": np.array(job.gpus),
        "tables": job.cost.local_tables,
        "lookups": plan.lookups(batch),
        "forward_bytes": sent.sum(axis=1),
        "hbm_bytes": job.cost.hbm_bytes,
        "memory_bytes": job.memory.total_bytes,
        **log.by_rank(),
    }


def _shards(job: RankingJob) -> Table:
    shards = job.plan.shards
    names = np.array([table.name for table in job.plan.tables])
    return {
        "table": names[shards.table],
        "rank": shards.rank,
        "first_row": shards.first_row,
        "rows": shards.rows,
        "first_column": shards.first_column,
        "columns": shards.columns,
        "place": job.plan.places,
    }


def _tasks(job: RankingJob) -> Table:
    """One row per task of a step, in the order of launches."""
    tasks = job.program.tasks
    kernels = [task.work if isinstance(task.work, Kernels) else None for task in tasks]
    return {
        "task": np.array([task.key for task in tasks]),
        "stream": np.array([task.stream for task in tasks]),
        "ahead": np.array([task.ahead for task in tasks]),
        "kernels": np.array([0.0 if work is None else work.count for work in kernels]),
        "mean_s": np.array([0.0 if work is None else float(work.seconds.mean()) for work in kernels]),
        "slowest_s": np.array([0.0 if work is None else float(work.seconds.max()) for work in kernels]),
        "launch_s": np.array([float(task.launch_s.mean()) for task in tasks]),
        "bytes": np.array([_bytes(task.work) for task in tasks]),
    }


def _bytes(work: Kernels | Collective | HostMove) -> float:
    """What a task moves, of all ranks together; of a sum, its buffer."""
    if isinstance(work, Collective):
        return float(np.sum(work.size))
    return float(work.size_bytes.sum()) if isinstance(work, HostMove) else 0.0
