"""What a planner says when tables do not fit: what they take, what there is, and what would fit."""

from __future__ import annotations

import math

from clustersim.errors import CannotRunError, Problem
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.greedy import NoRoom
from clustersim.workloads.ranking.sharding.options import Option, TablesToPlace

__all__ = ["no_room"]


def no_room(tables: TablesToPlace, devices: Devices, sharding: ShardingSpec, at: NoRoom) -> CannotRunError:
    """Return the error with the breakdown and what would make the tables fit."""
    free = devices.memory_bytes * (1.0 - sharding.reserve)
    taken = float(tables.price(Option("table-wise")).memory_bytes.sum())
    weights = sum(table.rows * table.row_bytes(tables.precision) for table in tables.tables)
    kept = f" with states of {tables.optimizer}" if tables.optimizer else ""
    message = (
        f"the tables take {_size(taken)}{kept} ({_size(weights)} of rows in {tables.precision}), "
        f"{devices.ranks} GPUs of {_size(devices.memory_bytes)} leave {_size(free * devices.ranks)} for them "
        f"({sharding.reserve:.0%} reserved): no room for {_size(at.memory_bytes)} of "
        f"'{tables.tables[at.table].name}'; {_advice(tables, devices, sharding, taken, free)}"
    )
    return CannotRunError(Problem(("sharding",), message))


def _advice(
    tables: TablesToPlace, devices: Devices, sharding: ShardingSpec, taken: float, free: float
) -> str:
    if taken <= free * devices.ranks and sharding.chosen_plan != "greedy":
        dividing = "'plan: greedy' or 'plan: row-wise'"
        return f"{dividing} divides large tables, which '{sharding.chosen_plan}' does not"
    found = [f"{math.ceil(taken / free)} GPUs"]
    if tables.precision in ("fp32", "tf32") and taken / 2.0 <= free * devices.ranks:
        found.append("rows in fp16")
    if not sharding.spill and sharding.place == "hbm":
        found.append("'spill: true' (host memory behind a cache)")
    return "they would fit with " + " or ".join(found)


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.4g} GiB"
