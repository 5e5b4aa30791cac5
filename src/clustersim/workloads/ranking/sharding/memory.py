"""Memory that a sharding plan takes of each rank: rows, states of the optimizer, caches, and host memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.ranking.optimizer import EMBEDDING_OPTIMIZERS, EmbeddingOptimizerName

if TYPE_CHECKING:
    from clustersim.workloads.ranking.sharding.plan import ShardingPlan

__all__ = ["RankMemory", "rank_memory", "state_bytes"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankMemory:
    """Bytes by rank: arrays of one number per rank."""

    weights: Numbers
    """Rows of tables in GPU memory."""
    states: Numbers
    """States of the optimizer in GPU memory."""
    cache: Numbers
    """Rows of tables in host memory that GPU memory holds as well."""
    host: Numbers
    """Rows and states in host memory."""

    @property
    def gpu_bytes(self) -> Numbers:
        """Bytes of GPU memory."""
        return self.weights + self.states + self.cache


def state_bytes(columns: Numbers, optimizer: EmbeddingOptimizerName | None) -> tuple[Numbers, Numbers]:
    """Return the bytes that the optimizer keeps for a row: for its elements, and for the row as a whole."""
    if optimizer is None:
        return np.zeros(len(columns)), np.zeros(len(columns))
    rule = EMBEDDING_OPTIMIZERS[optimizer]
    return 4.0 * rule.numbers_per_element * columns, np.full(len(columns), 4.0 * rule.numbers_per_row)


def rank_memory(plan: ShardingPlan) -> RankMemory:
    """Return the memory that a plan takes of each rank.

    *Equation.* R rows of b bytes with s per element and t per row of states: in GPU memory R·(b + s + t).
    `uvm-cached`: c·R·(b + s) of GPU memory as cache and R·t, R·(b + s) of host memory. `uvm`: R·t of GPU
    memory. `host`: nothing of GPU memory.

    **Source:** FBGEMM keeps states of whole rows in device memory and those of elements beside the rows.
    """
    shards, places = plan.shards, plan.places
    rows = shards.rows.astype(float)
    elements, whole = state_bytes(shards.columns.astype(float), plan.optimizer)
    cached = np.array([each.cache for each in plan.placements])[shards.table]
    in_gpu = places == "hbm"
    with_rows = rows * (plan.shard_row_bytes + elements)

    return RankMemory(
        weights=plan.per_rank(np.where(in_gpu, rows * plan.shard_row_bytes, 0.0)),
        states=plan.per_rank(
            np.where(in_gpu, rows * elements, 0.0) + np.where(places == "host", 0.0, rows * whole)
        ),
        cache=plan.per_rank(np.where(places == "uvm-cached", cached * with_rows, 0.0)),
        host=plan.per_rank(np.where(in_gpu, 0.0, with_rows) + np.where(places == "host", rows * whole, 0.0)),
    )
