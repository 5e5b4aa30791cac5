"""The ways in which each table can be divided, and what one part costs and takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.cost.ranking.embedding import INDEX_BYTES, RowWork
from clustersim.cost.ranking.memory import row_bytes
from clustersim.cost.ranking.optimizer import EmbeddingOptimizerName
from clustersim.cost.ranking.popularity import Popularity, popularity_of
from clustersim.spec.ranking.sharding import ShardingKind
from clustersim.workloads.ranking.sharding.memory import state_bytes
from clustersim.workloads.ranking.sharding.plan import Batch, Placement
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK, Shards
from clustersim.workloads.ranking.sharding.shard_work import PartCost, ShardWork

__all__ = ["Option", "Price", "TablesToPlace"]

Numbers = NDArray[np.float64]


class Option(NamedTuple):
    """A kind of sharding with a number of parts."""

    kind: ShardingKind
    parts: int = 1


@dataclass(frozen=True, eq=False)
class Price:
    """What the largest part of each table costs and takes if divided in one way."""

    seconds: Numbers
    memory_bytes: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class TablesToPlace:
    """Tables as a planner sees them, with the price of each way to divide them."""

    tables: tuple[EmbeddingTable, ...]
    placements: Sequence[Placement]
    ranks: int
    batch: Batch
    precision: str
    optimizer: EmbeddingOptimizerName | None
    cost: PartCost
    bytes_per_index: int = INDEX_BYTES
    _prices: dict[Option, Price] = field(default_factory=dict)

    def price(self, option: Option) -> Price:
        """Return what the largest part costs and takes, of all tables."""
        if option not in self._prices:
            columns, part = self.dimension, np.full(len(self.tables), 1.0)
            if option.kind == "column-wise":
                columns = np.ceil(columns / option.parts)
            elif option.kind in ("row-wise", "table-row-wise"):
                part = np.ceil(self.rows / option.parts) / self.rows
            every = np.arange(len(self.tables))
            work = self.work(every, columns, part, option.kind)
            self._prices[option] = Price(self.cost.seconds(work), self.memory(every, columns, part))
        return self._prices[option]

    def work(self, which: NDArray[np.intp], columns: Numbers, part: Numbers, kind: ShardingKind) -> ShardWork:
        """Return parts of some tables, `columns` wide and with a share `part` of the rows."""
        replicated = kind == "data-parallel"
        bags = self._samples[which] * (1.0 if replicated else self.ranks)
        lookups = bags * self._pooling[which] * part
        popularity = self.popularity.take(which)
        held = self._cached_share[which] * self.rows[which]
        outside = np.where(self._in_hbm[which], 0.0, part * popularity.missed_rows(lookups / part, held))
        return ShardWork(
            work=RowWork(
                columns=columns,
                row_bytes=self.row_bytes(which, columns),
                bags=bags,
                lookups=lookups,
                outputs=np.where(self._pooled[which], bags, lookups),
                part=part,
                popularity=popularity,
                bytes_per_index=self.bytes_per_index,
            ),
            missed_rows=outside,
            held=np.where(self._in_hbm[which], 1.0, self._cached_share[which]),
            in_node=self._pooled[which] & (kind == "table-row-wise"),
            replicated=np.full(len(which), replicated),
        )

    def price_of(self, shards: Shards, *, in_node: bool) -> tuple[Numbers, Numbers]:
        """Return seconds and bytes of each of some shards."""
        which, columns = shards.table.astype(np.intp), shards.columns.astype(float)
        part = shards.rows / self.rows[which]
        everywhere = shards.rank[0] == EVERY_RANK
        kind: ShardingKind = "data-parallel" if everywhere else "table-row-wise" if in_node else "row-wise"
        seconds = self.cost.seconds(self.work(which, columns, part, kind))
        return seconds, self.memory(which, columns, part)

    def with_placements(self, placements: Sequence[Placement]) -> TablesToPlace:
        """Return the same tables with their rows in other places."""
        return replace(self, placements=placements, _prices={})

    def memory(self, which: NDArray[np.intp], columns: Numbers, part: Numbers) -> Numbers:
        """Return the bytes of GPU memory that parts of some tables take."""
        rows = self.rows[which] * part
        elements, whole = state_bytes(columns, self.optimizer)
        with_rows = rows * (self.row_bytes(which, columns) + elements)
        places = np.array([each.place for each in self.placements], dtype=str)[which]
        held = np.select([places == "hbm", places == "uvm-cached"], [1.0, self._cached_share[which]], 0.0)
        return held * with_rows + np.where(places == "host", 0.0, rows * whole)

    def row_bytes(self, which: NDArray[np.intp], columns: Numbers) -> Numbers:
        """Return the bytes of so many columns of a row of each of some tables."""
        sizes = np.zeros(len(which))
        own = np.array([table.precision or self.precision for table in self.tables], dtype=object)[which]
        for precision in sorted(set(own.tolist())):
            alike = own == precision
            sizes[alike] = row_bytes(columns[alike], precision)
        return sizes

    @cached_property
    def rows(self) -> Numbers:
        """Rows of each table."""
        return np.array([table.rows for table in self.tables], dtype=float)

    @cached_property
    def dimension(self) -> Numbers:
        """Columns of each table."""
        return np.array([table.dimension for table in self.tables], dtype=float)

    @cached_property
    def popularity(self) -> Popularity:
        """Of the rows of each table."""
        return popularity_of(self.tables)

    @cached_property
    def _pooling(self) -> Numbers:
        return np.array([table.pooling for table in self.tables])

    @cached_property
    def _pooled(self) -> NDArray[np.bool_]:
        return np.array([table.pooled for table in self.tables], dtype=bool)

    @cached_property
    def _samples(self) -> Numbers:
        return np.broadcast_to(np.asarray(self.batch, dtype=float), (len(self.tables),))

    @cached_property
    def _in_hbm(self) -> NDArray[np.bool_]:
        return np.array([each.place == "hbm" for each in self.placements], dtype=bool)

    @cached_property
    def _cached_share(self) -> Numbers:
        return np.array([each.cache if each.place == "uvm-cached" else 0.0 for each in self.placements])
