"""The embedding kernels of every rank of a plan, all at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import Operator
from clustersim.cost.ranking.embedding import (
    MovedBytes,
    dense_update,
    lookup,
    lookup_bytes,
    sort_of_indices,
    update_bytes,
)
from clustersim.workloads.ranking.sharding.plan import Batch, ShardingPlan
from clustersim.workloads.ranking.sharding.shard import Shards

__all__ = ["RankKernels", "ReplicatedKernels", "rank_kernels", "replicated_kernels"]

Numbers = NDArray[np.float64]


class RankKernels(NamedTuple):
    """What one rank runs for the shards that it alone holds, in one batch of all ranks."""

    lookup: Operator
    update: tuple[Operator, ...]
    """Sorting of the indices, then backward pass and optimizer in one; nothing where tables are only read."""


class ReplicatedKernels(NamedTuple):
    """What every rank runs for the tables that all hold, on its own samples."""

    lookup: Operator
    gradient: Operator
    """Gradient of all rows, which is then all-reduced."""
    step: Operator
    """Update of all rows."""


def rank_kernels(
    plan: ShardingPlan,
    batch: Batch,
    *,
    accelerator: Accelerator,
    precision: str = "fp32",
    weighted: bool = False,
) -> list[RankKernels]:
    """Return the kernels of each rank.

    Shards of a table with as many rows and columns cost the same wherever they are, and are costed once.

    Parameters
    ----------
    precision
        Of pooled embeddings and of their gradients.
    weighted
        Rows are pooled with a weight for each look-up.

    **Checked by:** tests/workloads/ranking/test_sharding_kernels.py, against `RowWork` rank by rank.
    """
    which = np.flatnonzero(~plan.on_every_rank & plan.in_gpu_memory)
    shards = plan.shards.take(which)
    first, of = _alike(shards)
    work = plan.work_of(which[first], batch)
    cache = accelerator.last_level_cache_bytes or 0.0

    def by_rank(moved: MovedBytes) -> MovedBytes:
        return moved.summed(shards.rank, plan.ranks, of)

    looked_up = by_rank(lookup_bytes(work, output_precision=precision, cache_bytes=cache, weighted=weighted))
    if plan.optimizer is None:
        return [RankKernels(looked_up.lookup(precision, rank), ()) for rank in range(plan.ranks)]
    updated = by_rank(
        update_bytes(work, gradient_precision=precision, optimizer=plan.optimizer, cache_bytes=cache)
    )
    indices = np.bincount(shards.rank, weights=work.lookups[of], minlength=plan.ranks)
    rows = np.bincount(shards.rank, weights=shards.rows, minlength=plan.ranks)
    return [
        RankKernels(
            looked_up.lookup(precision, rank),
            (
                sort_of_indices(float(indices[rank]), float(rows[rank]), plan.bytes_per_index),
                updated.update(precision, rank),
            ),
        )
        for rank in range(plan.ranks)
    ]


def replicated_kernels(
    plan: ShardingPlan,
    batch: Batch,
    *,
    accelerator: Accelerator,
    precision: str = "fp32",
    weighted: bool = False,
) -> ReplicatedKernels | None:
    """Return the kernels for tables that every rank holds; None without such tables."""
    work = plan.replicated_work(batch)
    if work is None:
        return None
    cache = accelerator.last_level_cache_bytes or 0.0
    rows = work.popularity.rows.sum(axis=1)
    gradient, step = dense_update(rows, work.columns, lookups=work.lookups, optimizer=plan.optimizer or "sgd")
    looked_up = lookup(work, output_precision=precision, cache_bytes=cache, weighted=weighted)
    return ReplicatedKernels(looked_up, gradient, step)


def _alike(shards: Shards) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return one shard of each table and size, and for each shard which of them it is like."""
    key = np.stack((shards.table, shards.rows, shards.columns), axis=1)
    _, first, of = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return first, of.ravel()
