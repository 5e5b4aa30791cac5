"""Planning: how tables are divided and which ranks hold the parts, by what a scenario says and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.ranking.optimizer import EmbeddingOptimizerName
from clustersim.spec.ranking.sharding import ShardingKind, ShardingSpec
from clustersim.workloads.ranking.sharding.assignment import Assignment, Item, assign, assign_in_turn
from clustersim.workloads.ranking.sharding.cost import KernelCost
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.division import divide
from clustersim.workloads.ranking.sharding.options import Option, TablesToPlace
from clustersim.workloads.ranking.sharding.plan import Batch, Placement, ShardingPlan
from clustersim.workloads.ranking.sharding.shard import Shards

__all__ = ["plan_shards"]

Numbers = NDArray[np.float64]

_SHARES_OF_MEAN = (1.0, 0.5, 0.25, 0.125)
"""Tables are divided whose part costs more than such a share of the mean rank's time."""


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
    cost = KernelCost(devices=devices, optimizer=optimizer, exchange_precision=exchange_precision)
    placement = Placement(sharding.place, sharding.cache)
    tables = TablesToPlace(
        tables=model.tables,
        placements=[placement] * len(model.tables),
        ranks=devices.ranks,
        batch=batch,
        precision=precision,
        optimizer=optimizer,
        cost=cost,
    )
    planner = _Planner(tables, devices, sharding)
    return planner.plan(planner.choices())
