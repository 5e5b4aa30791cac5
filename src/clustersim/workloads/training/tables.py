"""Tables of a training job beside that of its iterations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.workloads.base import Table
from clustersim.workloads.training.job import TrainingJob
from clustersim.workloads.training.lane import Lane
from clustersim.workloads.training.ledger import CATEGORIES

__all__ = ["memory_table", "passes_table", "stages_table"]


def stages_table(job: TrainingJob, lanes: Sequence[Lane]) -> Table:
    """Return where the time of each stage went in the last iteration, mean over its lanes."""
    stages = range(job.layout.pipeline)
    by_stage = [[lane for lane in lanes if lane.stage == stage] for stage in stages]
    table = {
        name: np.array([_mean([lane.ledger.seconds[name] for lane in own]) for own in by_stage])
        for name in CATEGORIES
    }
    return {
        "stage": np.arange(len(stages)),
        **table,
        "stash": np.array(job.stash, dtype=np.int64),
        "memory_bytes": np.array([memory.total_bytes for memory in job.memory]),
    }


def passes_table(lanes: Sequence[Lane]) -> Table:
    """Return when each lane computed what in the last iteration."""
    rows = [(lane.stage, lane.replica, *record) for lane in lanes for record in lane.ledger.passes]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    names = ("stage", "replica", "kind", "micro_batch", "chunk", "start_s", "end_s")
    types = (np.int64, np.int64, np.str_, np.int64, np.int64, np.float64, np.float64)
    return {
        name: np.array(values, dtype=dtype) for name, values, dtype in zip(names, columns, types, strict=True)
    }


def memory_table(job: TrainingJob) -> Table:
    """Return bytes on a GPU of each stage by use."""
    rows = [
        (stage, use, size) for stage, memory in enumerate(job.memory) for use, size in memory.items() if size
    ]
    stages, uses, sizes = zip(*rows, strict=True)
    return {
        "stage": np.array(stages, dtype=np.int64),
        "use": np.array(uses, dtype=np.str_),
        "bytes": np.array(sizes, dtype=np.float64),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
