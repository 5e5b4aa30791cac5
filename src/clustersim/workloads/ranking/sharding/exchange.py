"""Bytes between ranks for a sharding plan: indices go to the shards, embeddings come back to the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.operators import element_bytes
from clustersim.workloads.ranking.sharding.shard import EVERY_RANK, Shards

if TYPE_CHECKING:
    from clustersim.workloads.ranking.sharding.plan import ShardingPlan

__all__ = ["LENGTH_BYTES", "ExchangeBytes"]

Numbers = NDArray[np.float64]

LENGTH_BYTES = 4
"""Bytes of a bag's length, which is sent with its indices (int32, as in TorchRec's keyed jagged tensors)."""


@dataclass(frozen=True, eq=False)
class ExchangeBytes:
    """What the shards that are not on every rank receive and send, per sample of each table.

    Parameters
    ----------
    part
        Share of its table's rows that a shard has.
    in_nodes
        Shards of table-row-wise tables whose sums are made inside a node before they go on.
    """

    shards: Shards
    part: Numbers
    pooling: Numbers
    pooled: NDArray[np.bool_]
    in_nodes: NDArray[np.bool_]
    ranks: int
    ranks_per_node: int
    bytes_per_index: int

    @classmethod
    def of(cls, plan: ShardingPlan) -> ExchangeBytes:
        """Take what is exchanged from a plan."""
        own = plan.shards.rank != EVERY_RANK
        shards = plan.shards.take(own)
        nodewise = np.array([each.grid == "table-row-wise" for each in plan.placements], dtype=bool)
        pooled = np.array([table.pooled for table in plan.tables], dtype=bool)
        spans_nodes = plan.ranks > plan.ranks_per_node
        return cls(
            shards=shards,
            part=plan.part[own],
            pooling=np.array([table.pooling for table in plan.tables]),
            pooled=pooled,
            in_nodes=(nodewise & pooled)[shards.table] & spans_nodes,
            ranks=plan.ranks,
            ranks_per_node=plan.ranks_per_node,
            bytes_per_index=plan.bytes_per_index,
        )

    def index_bytes(self, samples: Numbers) -> Numbers:
        """Return bytes from i to j: indices of i's samples for j's shards, and a length for each bag.

        *Equation:* Σ over j's shards of B·(L·ρ·i + 4), with ρ the share of the rows, i bytes of an index.
        """
        table = self.shards.table
        indices_bytes = self.pooling[table] * self.part * self.bytes_per_index
        received = samples[table] * (indices_bytes + LENGTH_BYTES)
        return self._without_own(np.tile(self._by_rank(received), (self.ranks, 1)))

    def forward_exchanges(self, samples: Numbers, precision: str) -> tuple[Numbers, ...]:
        """Return bytes from j to i of each exchange.

        *Equation.* All-to-all: Σ over j's shards of B·c·e, with c columns of e bytes; B·L·ρ·c·e where nothing
        is pooled. A row-wise shard sends its partial sums: a reduce-scatter's bytes. Table-row-wise, with
        M nodes in all: inside the node M·B·c·e from each shard to each rank, which then sends B·c·e to the
        rank of its own number in each other node; a table over several nodes does so from each.
        """
        table = self.shards.table
        per_sample = np.where(self.pooled[table], 1.0, self.pooling[table] * self.part)
        sent = samples[table] * per_sample * self.shards.columns * element_bytes(precision)
        direct = self._by_rank(np.where(self.in_nodes, 0.0, sent))
        across = np.tile(direct[:, None], (1, self.ranks))
        if not self.in_nodes.any():
            return (self._without_own(across),)
        inside, between = self._node_wise(np.where(self.in_nodes, sent, 0.0))
        return self._without_own(inside), self._without_own(across + between)

    def _node_wise(self, sent: Numbers) -> tuple[Numbers, Numbers]:
        ranks = np.arange(self.ranks)
        node, number = np.divmod(ranks, self.ranks_per_node)
        nodes = int(node[-1]) + 1
        same_node = node[:, None] == node[None, :]
        inside = np.where(same_node, nodes * self._by_rank(sent)[:, None], 0.0)
        # The row shards of a table in a node add up to one sum, of which each rank has its samples' part.
        holder = node[self.shards.rank]
        of_table, key = np.unique(self.shards.table * nodes + holder, return_inverse=True)
        rows_in_node = np.bincount(key, weights=self.part, minlength=len(of_table))
        of_node = np.bincount(holder, weights=sent * self.part / rows_in_node[key], minlength=nodes)
        same_number = number[:, None] == number[None, :]
        return inside, np.where(same_number & ~same_node, of_node[node][:, None], 0.0)

    def _by_rank(self, of_shards: Numbers) -> Numbers:
        return np.bincount(self.shards.rank, weights=of_shards, minlength=self.ranks).astype(float)

    def _without_own(self, matrix: Numbers) -> Numbers:
        np.fill_diagonal(matrix, 0.0)
        return matrix
