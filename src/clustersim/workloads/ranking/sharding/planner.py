"""Planning: how tables are divided and which ranks hold the parts, by what a scenario says and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.ranking.embedding import INDEX_BYTES
from clustersim.cost.ranking.optimizer import EmbeddingOptimizerName
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.workloads.ranking.sharding.cost import planner_cost
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.division import divide
from clustersim.workloads.ranking.sharding.greedy import EVERY_WAY, Found, GreedyPlanner, NoRoom
from clustersim.workloads.ranking.sharding.no_room import no_room
from clustersim.workloads.ranking.sharding.options import Option, TablesToPlace
from clustersim.workloads.ranking.sharding.plan import Batch, Placement, ShardingPlan
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK, Shards
from clustersim.workloads.ranking.sharding.user_plan import TableWishes, wishes

__all__ = ["plan_shards"]

Numbers = NDArray[np.float64]


def plan_shards(
    model: RankingModel,
    sharding: ShardingSpec,
    *,
    devices: Devices,
    batch: Batch,
    precision: str = "fp32",
    optimizer: EmbeddingOptimizerName | None = "rowwise-adagrad",
    exchange_precision: str = "fp32",
    bytes_per_index: int = INDEX_BYTES,
    base: Path | None = None,
) -> ShardingPlan:
    """Return the plan that a scenario asks for.

    Parameters
    ----------
    batch
        Samples per rank.
    precision, exchange_precision
        Of the rows, and of embeddings and gradients between ranks.
    optimizer
        None: the tables are only read.
    bytes_per_index
        Of what is looked up.
    base
        Folder that `sharding.file` starts from.

    Raises
    ------
    CannotRunError
        If the tables do not fit the memory.
    InputError
        If what is said of single tables is wrong.

    **Checked by:** tests/workloads/ranking/test_sharding_planner.py.
    """
    said = wishes(model.tables, sharding, ranks=devices.ranks, base=base)
    said.check_parts(ranks_per_node=devices.ranks_per_node)
    tables = TablesToPlace(
        tables=model.tables,
        placements=_placements(said, sharding),
        ranks=devices.ranks,
        batch=batch,
        precision=precision,
        optimizer=optimizer,
        cost=planner_cost(
            sharding.chosen_cost, devices=devices, optimizer=optimizer, exchange_precision=exchange_precision
        ),
        bytes_per_index=bytes_per_index,
    )
    planner = _Planner(tables, devices, sharding, said)
    if sharding.spill:
        planner = planner.spilled()
    found = planner.found
    if isinstance(found, NoRoom):
        raise no_room(planner.tables, devices, sharding, found)
    return planner.plan(found)


def _placements(said: TableWishes, sharding: ShardingSpec) -> list[Placement]:
    return [
        Placement(
            place=(entry and entry.place) or sharding.place, cache=(entry and entry.cache) or sharding.cache
        )
        for entry in said.entries
    ]


@dataclass(frozen=True, eq=False)
class _Planner:
    """One planning: what is said of tables goes first, the greedy planner places the others."""

    tables: TablesToPlace
    devices: Devices
    sharding: ShardingSpec
    said: TableWishes

    @cached_property
    def given(self) -> list[Shards | None]:
        """Shards of the tables whose ranks are said."""
        return list(self.said.shards())

    @cached_property
    def found(self) -> Found | NoRoom:
        """Options and ranks of the others."""
        greedy = self._greedy()
        if (greedy.free_bytes < 0.0).any():
            rank = int(greedy.free_bytes.argmin())
            table = next(
                n for n, shards in enumerate(self.given) if shards is not None and rank in shards.rank
            )
            return NoRoom(table, float(self.sharding_bytes(table)))
        kind = self.sharding.chosen_plan
        if kind == "greedy":
            return greedy.search()
        return greedy.assigned([fixed or greedy.option(kind, n) for n, fixed in enumerate(greedy.fixed)])

    def sharding_bytes(self, table: int) -> float:
        """Return what a table takes of GPU memory as a whole."""
        return float(self.tables.price(Option("table-wise")).memory_bytes[table])

    def spilled(self) -> _Planner:
        """Return the planning in which as few tables as needed go to host memory, behind a cache."""
        looked_up = np.array([table.pooling / (table.rows * table.dimension) for table in self.tables.tables])
        free = [n for n, each in enumerate(self.tables.placements) if each.place == "hbm"]
        order = sorted(free, key=lambda n: (looked_up[n], n))
        fewest, most = 0, len(order)
        while fewest < most:
            middle = (fewest + most) // 2
            if isinstance(self._with_spilled(order[:middle]).found, NoRoom):
                fewest = middle + 1
            else:
                most = middle
        return self._with_spilled(order[:fewest])

    def _with_spilled(self, chosen: Sequence[int]) -> _Planner:
        placements = list(self.tables.placements)
        for n in chosen:
            placements[n] = replace(placements[n], place="uvm-cached")
        return replace(self, tables=self.tables.with_placements(placements))

    def plan(self, found: Found) -> ShardingPlan:
        """Return the plan with the shards of all tables."""
        shards = [
            given
            if given is not None
            else divide(n, self.tables.tables[n], option.kind, self._ranks(n, option, found))
            for n, (option, given) in enumerate(zip(found.options, self.given, strict=True))
        ]
        placements = tuple(
            replace(placement, grid=self._grid(n, option))
            for n, (placement, option) in enumerate(zip(self.tables.placements, found.options, strict=True))
        )
        return ShardingPlan(
            tables=self.tables.tables,
            placements=placements,
            ranks=self.devices.ranks,
            ranks_per_node=self.devices.ranks_per_node,
            shards=Shards.of(shards),
            precision=self.tables.precision,
            optimizer=self.tables.optimizer,
            bytes_per_index=self.tables.bytes_per_index,
            predicted_s=found.ranks.seconds,
        )

    def _greedy(self) -> GreedyPlanner:
        loads, taken = self._given_loads()
        room = self.devices.memory_bytes * (1.0 - self.sharding.reserve)
        planner = GreedyPlanner(
            tables=self.tables,
            devices=self.devices,
            fixed=[None] * len(self.given),
            placed=np.array([shards is not None for shards in self.given], dtype=bool),
            loads_s=loads,
            free_bytes=room - taken,
            min_columns=self.sharding.min_columns,
            replicate_below=self.sharding.replicate_below or 0.0,
            ways=("nodes",) if self.sharding.cost == "lookups" and self.devices.nodes > 1 else EVERY_WAY,
        )
        fixed = [
            None if entry is None or entry.kind is None else planner.option(entry.kind, n, entry.parts)
            for n, entry in enumerate(self.said.entries)
        ]
        return replace(planner, fixed=fixed)

    def _given_loads(self) -> tuple[Numbers, Numbers]:
        """Return seconds and bytes by rank of the tables whose ranks are said."""
        loads, taken = np.zeros(self.devices.ranks), np.zeros(self.devices.ranks)
        for number, shards in enumerate(self.given):
            if shards is None:
                continue
            seconds, size = self.tables.price_of(shards, in_node=self._in_node(number))
            ranks = np.where(shards.rank == EVERY_RANK, 0, shards.rank)
            everywhere = shards.rank[0] == EVERY_RANK
            for total, each in ((loads, seconds), (taken, size)):
                by_rank = np.bincount(ranks, weights=each, minlength=self.devices.ranks)
                total += by_rank[0] if everywhere else by_rank
        return loads, taken

    def _in_node(self, table: int) -> bool:
        entry = self.said.entries[table]
        return entry is not None and entry.kind == "table-row-wise"

    def _grid(self, table: int, option: Option) -> str:
        entry = self.said.entries[table]
        return "custom" if entry is not None and entry.shards is not None else option.kind

    def _ranks(self, table: int, option: Option, found: Found) -> Sequence[int]:
        given = found.ranks.rank_of
        if (table, 0) not in given:
            return range(self.devices.ranks)
        if option.kind == "table-row-wise":
            size = self.devices.ranks_per_node
            firsts = (given[table, part] for part in range(option.parts // size))
            return [rank for first in firsts for rank in range(first, first + size)]
        return [given[table, part] for part in range(option.parts)]
