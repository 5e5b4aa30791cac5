"""A sharding plan in words: how tables are divided, what the ranks have to do, and how even that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from clustersim.workloads.ranking.sharding.plan import ShardingPlan

__all__ = ["plan_summary"]

_SHOWN_TABLES = 8


def plan_summary(plan: ShardingPlan) -> str:
    """Return a few lines of text: kinds, the largest divided tables, memory, and the predicted imbalance."""
    return "\n".join((*_head(plan), *_largest(plan), *_ranks(plan)))


def _head(plan: ShardingPlan) -> Iterator[str]:
    kinds = Counter(placement.grid for placement in plan.placements)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    yield f"{len(plan.tables)} tables over {plan.ranks} ranks, {plan.ranks_per_node} per node: {counted}"
    places = Counter(placement.place for placement in plan.placements if placement.place != "hbm")
    if places:
        yield "not in GPU memory: " + ", ".join(f"{count} {place}" for place, count in places.most_common())


def _largest(plan: ShardingPlan) -> Iterator[str]:
    parts = np.bincount(plan.shards.table, minlength=len(plan.tables))
    by_size = sorted(range(len(plan.tables)), key=lambda n: -plan.tables[n].parameters)
    for number in by_size[:_SHOWN_TABLES]:
        table, placement = plan.tables[number], plan.placements[number]
        yield (
            f"  {table.name}: {table.rows:,} rows of {table.dimension}, {table.pooling:g} look-ups, "
            f"{placement.grid} in {parts[number]}"
        )
    if len(by_size) > _SHOWN_TABLES:
        yield f"  and {len(by_size) - _SHOWN_TABLES} smaller ones"


def _ranks(plan: ShardingPlan) -> Iterator[str]:
    memory = plan.memory_bytes() / 2**30
    yield f"GPU memory of a rank: {memory.min():.3g} to {memory.max():.3g} GiB"
    if plan.predicted_s is not None:
        slowest = int(plan.predicted_s.argmax())
        yield (
            f"predicted per batch: slowest rank {slowest} {plan.predicted_s.max() * 1e3:.3f} ms, "
            f"mean {plan.predicted_s.mean() * 1e3:.3f} ms, imbalance {plan.imbalance:.2f}"
        )
