"""What crosses the link between GPU and host for tables that are not in GPU memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.operators import element_bytes

if TYPE_CHECKING:
    from clustersim.workloads.ranking.sharding.plan import Batch, ShardingPlan

__all__ = ["HostTraffic", "host_traffic"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HostTraffic:
    """Bytes of one batch by rank: arrays of one number per rank."""

    to_device: Numbers
    """Over the link to the GPU."""
    to_host: Numbers
    """Over the link to the host."""
    host_memory: Numbers
    """Read and written in host memory by the host itself."""


def host_traffic(plan: ShardingPlan, batch: Batch, precision: str) -> HostTraffic:
    """Return the traffic of a plan.

    *Equation.* n look-ups of rows of b bytes touch u different rows, v of them not in the cache.
    `uvm-cached`: v·b to the GPU; in training as much back, as rows pushed out have been updated. `uvm`:
    n·b to the GPU, and in training u·b again and back. `host`: the outputs to the GPU (and gradients
    back), n·b read in host memory, and in training 2·u·b more.

    **Valid when** rows are fetched for the whole batch before it is looked up (FBGEMM `prefetch`).
    """
    shards, size = plan.shards, plan.shard_row_bytes
    work = plan.work_of(np.arange(len(shards)), batch)
    cached = np.array([each.cache for each in plan.placements])[shards.table]
    lookups, distinct = work.lookups, work.distinct_rows()
    missed = work.part * work.popularity.missed_rows(
        lookups / work.part, cached * plan.table_rows[shards.table]
    )
    outputs = work.outputs * work.columns * element_bytes(precision)
    training = 0.0 if plan.optimizer is None else 1.0
    place = plan.places
    to_device = np.select(
        [place == "uvm-cached", place == "uvm", place == "host"],
        [missed * size, (lookups + training * distinct) * size, outputs],
    )
    to_host = training * np.select(
        [place == "uvm-cached", place == "uvm", place == "host"], [missed * size, distinct * size, outputs]
    )
    read = np.where(place == "host", (lookups + training * 2.0 * distinct) * size, 0.0)
    return HostTraffic(plan.per_rank(to_device), plan.per_rank(to_host), plan.per_rank(read))
