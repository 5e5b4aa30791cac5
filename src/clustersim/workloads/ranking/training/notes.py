"""What a reader of a ranking job's results must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from clustersim.spec.ranking.sharding import TablePlace
from clustersim.workloads.ranking.training.job import RankingJob

__all__ = ["job_notes"]

_WORDS: Mapping[TablePlace, str] = MappingProxyType(
    {
        "uvm-cached": "behind a cache in GPU memory",
        "uvm": "read by the GPU row by row",
        "host": "looked up by the host",
    }
)


def job_notes(job: RankingJob) -> Iterator[str]:
    """Yield a note on tables in host memory, of each way of reading them from there."""
    places = np.array([each.place for each in job.plan.placements])
    for place, words in _WORDS.items():
        there = np.flatnonzero(places == place)
        if not len(there):
            continue
        tables = [job.plan.tables[number] for number in there]
        rows_bytes = sum(table.rows * table.row_bytes(job.spec.embedding_precision) for table in tables)
        largest = max(tables, key=lambda table: table.rows * table.row_bytes(job.spec.embedding_precision))
        others = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
        number = f"{len(tables)} tables" if len(tables) > 1 else "1 table"
        lie = "lie" if len(tables) > 1 else "lies"
        yield (
            f"{number}, {rows_bytes / 2**30:.3g} GiB of rows, {lie} in host memory, {words} "
            f"({largest.name}{others}){_why(job, place)}"
        )


def _why(job: RankingJob, place: TablePlace) -> str:
    """Say that the framework chose it, where the scenario does not."""
    said = job.spec.sharding
    if place != "uvm-cached" or said.spill is not None or said.place == place or said.file is not None:
        return ""
    if any(entry.place == place for entry in said.tables):
        return ""
    name = job.cost.framework.name
    return f": what does not fit GPU memory goes there in {name}; 'sharding.spill: false' refuses it"
