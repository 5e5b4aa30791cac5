"""Cutting a table into shards, by kind of sharding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.spec.ranking.sharding import ShardingKind
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK, Shards, even_cuts

__all__ = ["divide"]


def divide(number: int, table: EmbeddingTable, kind: ShardingKind, ranks: Sequence[int]) -> Shards:
    """Return the shards of table `number` over `ranks`, one each; blocks that would be empty are left out.

    Parameters
    ----------
    ranks
        `table-wise`: one; `data-parallel`: none, as every rank holds the whole.
    """
    held_by = np.array([EVERY_RANK] if kind == "data-parallel" else list(ranks), dtype=np.int64)
    count = len(held_by)
    rows = even_cuts(table.rows, count if kind in ("row-wise", "table-row-wise") else 1)
    columns = even_cuts(table.dimension, count if kind == "column-wise" else 1)
    shape = (count,)
    shards = Shards(
        table=np.full(shape, number, dtype=np.int64),
        rank=held_by,
        first_row=np.broadcast_to(rows[:-1], shape),
        rows=np.broadcast_to(np.diff(rows), shape),
        first_column=np.broadcast_to(columns[:-1], shape),
        columns=np.broadcast_to(np.diff(columns), shape),
    )
    return shards.take((shards.rows > 0) & (shards.columns > 0))
