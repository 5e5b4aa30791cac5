"""Batches of ranking services as slices of time: a service has too many for the trace of activities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from clustersim.workloads.base import Outcome

__all__ = ["BatchSlice", "batch_lanes", "batch_slices"]

_NUMBERS = ("start_s", "end_s", "samples", "queries", "kernels_s", "waited_s")


class BatchSlice(NamedTuple):
    """One batch on the lane of the worker that had it."""

    lane: str
    start_s: float
    end_s: float
    samples: int
    queries: int
    kernels_s: float
    waited_s: float


def batch_lanes(outcome: Outcome) -> list[str]:
    """Return the lanes of a ranking service's workers, by pool, replica and worker; of others none."""
    return [_lane(outcome.name, *worker) for worker in sorted(set(_workers(outcome)))]


def batch_slices(outcome: Outcome) -> Iterator[BatchSlice]:
    """Yield the batches of a ranking service; their lanes are called `NAME.REPLICA/worker N`."""
    workers = _workers(outcome)
    if not workers:
        return
    names = {worker: _lane(outcome.name, *worker) for worker in set(workers)}
    table = outcome.tables["batches"]
    columns = (table[name].tolist() for name in _NUMBERS)
    for worker, *numbers in zip(workers, *columns, strict=True):
        yield BatchSlice(names[worker], *numbers)


def _workers(outcome: Outcome) -> list[tuple[str, int, int]]:
    """Pool, replica and number of the worker of each batch."""
    table = outcome.tables.get("batches", {})
    if "worker" not in table:
        return []
    rows = len(table["worker"])
    pools = table["pool"].tolist() if "pool" in table else [""] * rows
    return list(zip(pools, table["replica"].tolist(), table["worker"].tolist(), strict=True))


def _lane(name: str, pool: str, replica: int, worker: int) -> str:
    return f"{name}.{replica}/{f'{pool} worker {worker}'.strip()}"
