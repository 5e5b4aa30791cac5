"""Shards as a planner's costs see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.ranking.embedding import RowWork

__all__ = ["PartCost", "ShardWork"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShardWork:
    """Shards as a planner's cost sees them, whichever ranks they may go to.

    Parameters
    ----------
    work
        Look-ups of one batch of all ranks (of the own one where every rank holds the shard).
    missed_rows
        Different rows that come from host memory: those that are not cached.
    held
        Share of the rows in GPU memory: 1, the cached share, or 0.
    in_node, replicated
        Shards whose sums are made inside a node; shards that every rank holds.
    """

    work: RowWork
    missed_rows: Numbers
    held: Numbers
    in_node: NDArray[np.bool_]
    replicated: NDArray[np.bool_]


class PartCost(Protocol):
    """A planner's cost: what a shard takes of its rank's time for one batch."""

    def seconds(self, shards: ShardWork) -> Numbers:
        """Return seconds, one number per shard."""
