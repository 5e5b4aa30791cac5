"""TorchRec's estimator of what a shard costs, in closed form and with its own constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.operators import element_bytes
from clustersim.cost.ranking.embedding import RowWork
from clustersim.workloads.ranking.sharding.shard_work import ShardWork

__all__ = ["TORCHREC", "TorchRecConstants", "TorchRecCost", "TorchRecPerf"]

Numbers = NDArray[np.float64]

_GIBIBYTE = 2.0**30


@dataclass(frozen=True, kw_only=True)
class TorchRecConstants:
    """Rates and factors of the planner.

    **Source:** pytorch/torchrec@a48cef79 torchrec/distributed/planner/constants.py (rates there per ms).
    """

    memory_bytes_per_s: float = 897.0 * _GIBIBYTE
    host_bytes_per_s: float = 32.0 * _GIBIBYTE
    in_node_bytes_per_s: float = 600.0 * _GIBIBYTE
    between_nodes_bytes_per_s: float = 12.5 * _GIBIBYTE
    index_bytes: int = 8
    least_columns: int = 32
    """Columns of a row that a table-wise look-up counts for at least."""
    full_block_columns: int = 128
    half_block_penalty: float = 1.15
    quarter_block_penalty: float = 1.75
    backward_factor: float = 2.0
    """Backward compute over forward compute."""
    weighted_factor: float = 1.1
    batched_copy_factor: float = 2.455
    dense_update_factor: float = 9.22
    """Memory passes over a data-parallel table: gradient, fill, update."""
    uvm_divisor: float = 10.0
    dense_share: float = 0.5
    """Of the memory rate that the kernels of data-parallel tables get."""


TORCHREC = TorchRecConstants()
"""TorchRec's defaults."""


@dataclass(frozen=True, eq=False)
class TorchRecPerf:
    """What TorchRec calls the perf of a shard, in seconds: arrays with one number per shard."""

    forward_compute: Numbers
    forward_exchange: Numbers
    backward_compute: Numbers
    backward_exchange: Numbers

    @property
    def total(self) -> Numbers:
        """All four, one after the other."""
        backward: Numbers = self.backward_compute + self.backward_exchange
        return self.forward_compute + self.forward_exchange + backward


@dataclass(frozen=True, kw_only=True)
class TorchRecCost:
    """The planner's cost of a shard as `EmbeddingPerfEstimator` has it.

    *Equation.* n look-ups of rows of d columns of e bytes, m outputs of a bytes per element, all ranks'
    samples together, memory rate W, network rate N (in a node where all ranks are in one):

        table- and column-wise   f = p(d)·(8·n + n·max(d, 32)·e + m·d·a)/W,  exchange x = m·d·a/N each way
        row-wise                 f = (8·n + n·d·e + m·d·a)/W,  x forward, x + 2.455·m·d·a/W back
        table-row-wise           as row-wise, N in the node; m·d·a/(ranks per node)/N between nodes more
        data-parallel            f of the own samples; all-reduce (2·k − 1)/k·R·d·e/(N·ranks per node),
                                 k = min(nodes, 2), twice that on more than two nodes, and 9.22·R·d·e/W

    p is 1 from 128 columns on, 1.15 from 64, 1.75 below. Backward compute is 2·f, with weights 1.1·f
    more. Rows that are not in GPU memory are read at a tenth of the link's rate to the host.

    **Valid when** balance is what counts: rates are those of a V100 and do not follow the device.
    **Source:** pytorch/torchrec@a48cef79 torchrec/distributed/planner/shard_estimators.py.
    **Checked by:** tests/workloads/ranking/test_sharding_torchrec.py.
    """

    ranks: int
    ranks_per_node: int
    exchange_precision: str = "fp32"
    training: bool = True
    weighted: bool = False
    constants: TorchRecConstants = TORCHREC

    def seconds(self, shards: ShardWork) -> Numbers:
        """Return the sum of what the estimator adds up for each shard."""
        return self.perf(shards).total

    def perf(self, shards: ShardWork) -> TorchRecPerf:
        """Return the parts that the estimator adds up for each shard."""
        divided = (shards.work.part < 1.0) | shards.in_node
        forward = self._forward_s(shards, divided)
        sent = self._sent_bytes(shards)
        exchange, back = self._exchange_s(shards, sent), self._exchange_s(shards, sent)
        back = back + np.where(divided, self.constants.batched_copy_factor * sent / self._rate(shards), 0.0)
        update = forward * (
            self.constants.backward_factor + (self.constants.weighted_factor if self.weighted else 0.0)
        )
        here = shards.replicated
        return TorchRecPerf(
            forward_compute=forward,
            forward_exchange=np.where(here, 0.0, exchange),
            backward_compute=update * self.training,
            backward_exchange=np.where(here, self._all_reduce_s(shards), back) * self.training,
        )

    def _rate(self, shards: ShardWork) -> Numbers:
        """Return the memory rate: half of it for replicated tables, less where rows are in UVM."""
        constants = self.constants
        in_gpu = constants.memory_bytes_per_s * np.where(shards.replicated, constants.dense_share, 1.0)
        cached = shards.held * constants.memory_bytes_per_s
        from_host = (1.0 - shards.held) * constants.host_bytes_per_s
        return np.where(shards.held == 1.0, in_gpu, (cached + from_host) / constants.uvm_divisor)

    def _sent_bytes(self, shards: ShardWork) -> Numbers:
        work = shards.work
        return work.outputs * work.columns * element_bytes(self.exchange_precision)

    def _forward_s(self, shards: ShardWork, divided: NDArray[np.bool_]) -> Numbers:
        constants, work = self.constants, shards.work
        whole = ~divided & ~shards.replicated
        width = np.where(whole, np.maximum(work.columns, constants.least_columns), work.columns)
        indices = np.ceil(work.lookups * constants.index_bytes) * (2.0 if self.weighted else 1.0)
        outputs = np.where(shards.replicated, work.outputs * work.row_bytes, self._sent_bytes(shards))
        seconds: Numbers = (indices + work.lookups * width * _element_bytes(work) + outputs) / self._rate(
            shards
        )
        return np.where(whole, seconds * self._penalty(work.columns), seconds)

    def _penalty(self, columns: Numbers) -> Numbers:
        constants = self.constants
        half = constants.full_block_columns // 2
        short = np.where(columns >= half, constants.half_block_penalty, constants.quarter_block_penalty)
        return np.where(columns >= constants.full_block_columns, 1.0, short)

    def _exchange_s(self, shards: ShardWork, sent: Numbers) -> Numbers:
        constants = self.constants
        one_node = self.ranks <= self.ranks_per_node
        rate = constants.in_node_bytes_per_s if one_node else constants.between_nodes_bytes_per_s
        in_node = sent / constants.in_node_bytes_per_s
        if not one_node:
            in_node = in_node + sent / self.ranks_per_node / constants.between_nodes_bytes_per_s
        return np.where(shards.in_node, in_node, sent / rate)

    def _all_reduce_s(self, shards: ShardWork) -> Numbers:
        work, constants = shards.work, self.constants
        table = work.popularity.rows.sum(axis=1) * work.part * work.row_bytes
        nodes = min(self.ranks / self.ranks_per_node, 2.0)
        rate = constants.between_nodes_bytes_per_s * self.ranks_per_node
        reduced = table * (2.0 * nodes - 1.0) / nodes / rate
        if self.ranks > 2 * self.ranks_per_node:
            reduced = reduced * 2.0
        seconds: Numbers = reduced + table * constants.dense_update_factor / self._rate(shards)
        return seconds


def _element_bytes(work: RowWork) -> Numbers:
    return work.row_bytes / work.columns
