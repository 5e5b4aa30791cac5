"""A sharding plan: which rank holds which part of which embedding table, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.cost.ranking.embedding import INDEX_BYTES, RowWork
from clustersim.cost.ranking.memory import row_bytes
from clustersim.cost.ranking.optimizer import EmbeddingOptimizerName
from clustersim.cost.ranking.popularity import Popularity, popularity_of
from clustersim.spec.ranking.sharding import TablePlace
from clustersim.workloads.ranking.sharding.exchange import ExchangeBytes
from clustersim.workloads.ranking.sharding.host_traffic import HostTraffic, host_traffic
from clustersim.workloads.ranking.sharding.memory import RankMemory, rank_memory
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK, Shard, Shards

__all__ = ["Batch", "Placement", "ShardingPlan"]

Numbers = NDArray[np.float64]

Batch = float | Numbers
"""Samples per rank: one number, or one for each table (a user's features are looked up once per query)."""


@dataclass(frozen=True)
class Placement:
    """What holds for all shards of a table: where its rows are, and how many of them are cached."""

    place: TablePlace = "hbm"
    cache: float = 1.0
    """Share of its rows in GPU memory, where `place` is `uvm-cached`."""
    grid: str = "table-wise"
    """Kind of sharding, or `custom`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardingPlan:
    """The embedding tables of a model, divided over ranks.

    Parameters
    ----------
    tables, placements
        One of each per table.
    ranks, ranks_per_node
        Ranks of a node follow each other.
    shards
        In order of rank; those that every rank holds come first.
    precision
        Of the rows.
    optimizer
        None: the tables are only read.
    bytes_per_index
        Of what is looked up, as it travels and as kernels read it.
    predicted_s
        What the planner expects of each rank for one batch; None for a plan that it did not cost.

    **Valid when** every rank brings as many samples, and each row of a table that is divided is as
    likely on one rank as on another (hashed, or numbered without regard to how popular they are).
    **Checked by:** tests/workloads/ranking/test_sharding_plan.py.
    """

    tables: tuple[EmbeddingTable, ...]
    placements: tuple[Placement, ...]
    ranks: int
    ranks_per_node: int
    shards: Shards
    precision: str = "fp32"
    optimizer: EmbeddingOptimizerName | None = None
    bytes_per_index: int = INDEX_BYTES
    predicted_s: Numbers | None = field(default=None)

    @property
    def imbalance(self) -> float:
        """Predicted time of the slowest rank over the mean of all."""
        if self.predicted_s is None or not self.predicted_s.any():
            return 1.0
        return float(self.predicted_s.max() / self.predicted_s.mean())

    def shards_of(self, rank: int) -> list[Shard]:
        """Return the shards that a rank holds, those that all ranks hold among them."""
        here = self.on_every_rank | (self.shards.rank == rank)
        return list(self.shards.take(here))

    def lookups(self, batch: Batch) -> Numbers:
        """Return how many rows each rank looks up for one batch of all ranks."""
        return self.per_rank(self._shard_lookups(batch))

    def output_elements(self, batch: Batch) -> Numbers:
        """Return how many elements leave the look-ups of each rank: pooled, or row by row."""
        return self.per_rank(self._shard_outputs(batch) * self.shards.columns)

    def index_bytes(self, batch: Batch) -> Numbers:
        """Return bytes from rank i to rank j in the all-to-all of indices; own ones are not sent."""
        return self._exchange.index_bytes(self._samples(batch))

    def forward_exchanges(self, batch: Batch, precision: str = "fp32") -> tuple[Numbers, ...]:
        """Return bytes from rank i to rank j of each exchange of embeddings, one after the other.

        One all-to-all; where a table-row-wise table spans a node, a reduce-scatter inside nodes before it.
        """
        return self._exchange.forward_exchanges(self._samples(batch), precision)

    def backward_exchanges(self, batch: Batch, precision: str = "fp32") -> tuple[Numbers, ...]:
        """Return the exchanges of gradients: those of the forward pass turned round, last one first."""
        return tuple(each.T.copy() for each in reversed(self.forward_exchanges(batch, precision)))

    def forward_bytes(self, batch: Batch, precision: str = "fp32") -> Numbers:
        """Return the bytes of all `forward_exchanges` together."""
        total: Numbers = np.sum(self.forward_exchanges(batch, precision), axis=0)
        return total

    def backward_bytes(self, batch: Batch, precision: str = "fp32") -> Numbers:
        """Return the bytes of all `backward_exchanges` together."""
        return self.forward_bytes(batch, precision).T.copy()

    def all_reduce_bytes(self) -> float:
        """Return the bytes of the gradients of tables that every rank holds: fp32, all rows."""
        every = self.shards.take(self.on_every_rank)
        return 4.0 * float((every.rows * every.columns).sum())

    def work(self, rank: int, batch: Batch) -> RowWork:
        """Return the look-ups of a rank in GPU memory, for the samples of all ranks."""
        first, last = np.searchsorted(self.shards.rank, [rank, rank + 1])
        which = np.arange(first, last)
        return self.work_of(which[self.in_gpu_memory[which]], batch)

    def replicated_work(self, batch: Batch) -> RowWork | None:
        """Return the look-ups of any rank in tables that every rank holds, for its own samples."""
        which = np.flatnonzero(self.on_every_rank & self.in_gpu_memory)
        return self.work_of(which, batch) if len(which) else None

    def host_traffic(self, batch: Batch, precision: str = "fp32") -> HostTraffic:
        """Return what each rank moves over the link to its host for tables that are not in GPU memory."""
        return host_traffic(self, batch, precision)

    def memory(self) -> RankMemory:
        """Return the bytes that the tables take of each rank's memory, by use."""
        return rank_memory(self)

    def memory_bytes(self) -> Numbers:
        """Return the bytes that the tables take of each rank's GPU memory."""
        return self.memory().gpu_bytes

    def work_of(self, which: NDArray[np.intp], batch: Batch) -> RowWork:
        """Return the look-ups of some shards, as if one kernel did them."""
        tables = self.shards.table[which]
        return RowWork(
            columns=self.shards.columns[which].astype(float),
            row_bytes=self.shard_row_bytes[which],
            bags=self._shard_bags(batch)[which],
            lookups=self._shard_lookups(batch)[which],
            outputs=self._shard_outputs(batch)[which],
            part=self.part[which],
            popularity=self.popularity.take(tables),
            bytes_per_index=self.bytes_per_index,
        )

    def per_rank(self, of_shards: Numbers) -> Numbers:
        """Add up a number of each shard by the rank that holds it."""
        every = float(of_shards[self.on_every_rank].sum())
        own = ~self.on_every_rank
        summed = np.bincount(self.shards.rank[own], weights=of_shards[own], minlength=self.ranks)
        return summed.astype(float) + every

    @cached_property
    def popularity(self) -> Popularity:
        """Of the rows of each table."""
        return popularity_of(self.tables)

    @cached_property
    def table_rows(self) -> Numbers:
        """Rows of each table."""
        return np.array([table.rows for table in self.tables], dtype=float)

    @cached_property
    def part(self) -> Numbers:
        """Share of its table's rows that each shard has."""
        return self.shards.rows / self.table_rows[self.shards.table]

    @cached_property
    def shard_row_bytes(self) -> Numbers:
        """Bytes of a row of each shard."""
        columns = self.shards.columns.astype(float)
        sizes = np.zeros(len(self.shards))
        own = np.array([table.precision or self.precision for table in self.tables], dtype=object)
        for precision in sorted(set(own.tolist())):
            which = own[self.shards.table] == precision
            sizes[which] = row_bytes(columns[which], precision)
        return sizes

    @cached_property
    def places(self) -> NDArray[np.str_]:
        """Where the rows of each shard are."""
        return np.array([each.place for each in self.placements], dtype=str)[self.shards.table]

    @cached_property
    def _exchange(self) -> ExchangeBytes:
        return ExchangeBytes.of(self)

    @cached_property
    def on_every_rank(self) -> NDArray[np.bool_]:
        """Which shards every rank holds."""
        every: NDArray[np.bool_] = self.shards.rank == EVERY_RANK
        return every

    @cached_property
    def in_gpu_memory(self) -> NDArray[np.bool_]:
        """Which shards the GPU looks up in its own memory, as a whole or from a cache."""
        return np.isin(self.places, ("hbm", "uvm-cached"))

    @cached_property
    def _pooling(self) -> Numbers:
        return np.array([table.pooling for table in self.tables])

    @cached_property
    def _pooled(self) -> NDArray[np.bool_]:
        return np.array([table.pooled for table in self.tables], dtype=bool)

    def _samples(self, batch: Batch) -> Numbers:
        """Samples of one rank, by table."""
        return np.broadcast_to(np.asarray(batch, dtype=float), (len(self.tables),))

    def _shard_bags(self, batch: Batch) -> Numbers:
        """Samples that a shard serves: those of all ranks, or of the own one where every rank holds it."""
        served = np.where(self.on_every_rank, 1.0, float(self.ranks))
        bags: Numbers = self._samples(batch)[self.shards.table] * served
        return bags

    def _shard_lookups(self, batch: Batch) -> Numbers:
        lookups: Numbers = self._shard_bags(batch) * self._pooling[self.shards.table] * self.part
        return lookups

    def _shard_outputs(self, batch: Batch) -> Numbers:
        pooled = self._pooled[self.shards.table]
        return np.where(pooled, self._shard_bags(batch), self._shard_lookups(batch))
