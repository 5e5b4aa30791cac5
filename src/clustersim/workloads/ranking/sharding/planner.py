"""Planning: how tables are divided and which ranks hold the parts, by what a scenario says and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.ranking.optimizer import EmbeddingOptimizerName
from clustersim.errors import CannotRunError, Problem
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.workloads.ranking.sharding.cost import KernelCost
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.division import divide
from clustersim.workloads.ranking.sharding.greedy import Found, GreedyPlanner, NoRoom
from clustersim.workloads.ranking.sharding.options import Option, TablesToPlace
from clustersim.workloads.ranking.sharding.plan import Batch, Placement, ShardingPlan
from clustersim.workloads.ranking.sharding.shard import Shards

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
    base
        Folder that `sharding.file` starts from.

    Raises
    ------
    CannotRunError
        If the tables do not fit the memory.
    InputError
        If a plan of one's own is wrong.
    """
    tables = TablesToPlace(
        tables=model.tables,
        placements=[Placement(sharding.place, sharding.cache)] * len(model.tables),
        ranks=devices.ranks,
        batch=batch,
        precision=precision,
        optimizer=optimizer,
        cost=KernelCost(devices=devices, optimizer=optimizer, exchange_precision=exchange_precision),
    )
    planner = GreedyPlanner(
        tables=tables,
        devices=devices,
        fixed=[None] * len(model.tables),
        placed=np.zeros(len(model.tables), dtype=bool),
        loads_s=np.zeros(devices.ranks),
        free_bytes=np.full(devices.ranks, devices.memory_bytes * (1.0 - sharding.reserve)),
        min_columns=sharding.min_columns,
        replicate_below=sharding.replicate_below or 0.0,
    )
    if sharding.plan == "greedy":
        found = planner.search()
    else:
        found = planner.assigned([planner.option(sharding.plan, n) for n in range(len(model.tables))])
    if isinstance(found, NoRoom):
        raise CannotRunError(Problem(("sharding",), f"no room for {model.tables[found.table].name}"))
    return _plan(tables, devices, found)


def _plan(tables: TablesToPlace, devices: Devices, found: Found) -> ShardingPlan:
    shards = [
        divide(n, tables.tables[n], option.kind, _ranks(n, option, devices, found))
        for n, option in enumerate(found.options)
    ]
    placements = tuple(
        Placement(placement.place, placement.cache, option.kind)
        for placement, option in zip(tables.placements, found.options, strict=True)
    )
    return ShardingPlan(
        tables=tables.tables,
        placements=placements,
        ranks=devices.ranks,
        ranks_per_node=devices.ranks_per_node,
        shards=Shards.of(shards),
        precision=tables.precision,
        optimizer=tables.optimizer,
        predicted_s=found.ranks.seconds,
    )


def _ranks(table: int, option: Option, devices: Devices, found: Found) -> Sequence[int]:
    given = found.ranks.rank_of
    if (table, 0) not in given:
        return range(devices.ranks)
    if option.kind == "table-row-wise":
        return range(given[table, 0], given[table, 0] + devices.ranks_per_node)
    return [given[table, part] for part in range(option.parts)]
