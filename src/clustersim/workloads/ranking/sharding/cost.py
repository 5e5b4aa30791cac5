"""What a planner expects a shard to cost its rank: seconds of kernels and exchanges for one batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.efficiency import curve_set
from clustersim.cost.operators import element_bytes
from clustersim.cost.ranking.embedding import MovedBytes, RowWork, lookup_bytes, update_bytes
from clustersim.cost.ranking.optimizer import EmbeddingOptimizerName
from clustersim.spec.ranking.sharding import PlannerCost
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.exchange import LENGTH_BYTES
from clustersim.workloads.ranking.sharding.shard_work import PartCost, ShardWork
from clustersim.workloads.ranking.sharding.torchrec import TorchRecCost

__all__ = ["KernelCost", "LookupCost", "planner_cost"]

Numbers = NDArray[np.float64]

_WORK_RATIO = 4.0
"""Bytes read and written in memory for each byte sent (HugeCTR, `mem_comm_work_ratio`: 8/2)."""


@dataclass(frozen=True, kw_only=True)
class KernelCost:
    """Seconds as the simulation has them: bytes through memory and network, each alone.

    *Equation:* look-up + update (`clustersim.cost.ranking.embedding`) + index all-to-all + embedding exchange
    forward and back + rows that are not cached over the host's link, without latencies, which do not
    depend on the plan.

    **Valid when** nothing overlaps; balance is what counts, not the sum.
    """

    devices: Devices
    optimizer: EmbeddingOptimizerName | None
    exchange_precision: str

    def seconds(self, shards: ShardWork) -> Numbers:
        """Return the seconds that each shard costs its rank for one batch."""
        total = self._kernels_s(shards.work) + self._host_s(shards)
        exchanged = np.where(shards.in_node, self._in_node_s(shards.work), self._direct_s(shards.work))
        replicated = self._all_reduce_s(shards.work)
        return total + np.where(shards.replicated, replicated, exchanged)

    def _kernels_s(self, work: RowWork) -> Numbers:
        cache = self.devices.accelerator.last_level_cache_bytes or 0.0
        moved = lookup_bytes(work, output_precision=self.exchange_precision, cache_bytes=cache)
        seconds = self._moved_s(moved)
        if self.optimizer is None:
            return seconds
        back = update_bytes(
            work, gradient_precision=self.exchange_precision, optimizer=self.optimizer, cache_bytes=cache
        )
        return seconds + self._moved_s(back)

    def _moved_s(self, moved: MovedBytes) -> Numbers:
        accelerator = self.devices.accelerator
        bandwidth = accelerator.memory_bandwidth_bytes_per_s
        rows = curve_set(accelerator.efficiency).rows
        if rows is None:
            stream = curve_set(accelerator.efficiency).memory["elementwise"]
            return moved.least / (stream.efficiency * bandwidth)
        from_memory = moved.memory / (rows.efficiency * bandwidth)
        return np.maximum(from_memory, moved.cache / (rows.cache_ratio * bandwidth))

    def _passes(self) -> float:
        """Exchanges of embeddings per batch: forward, and in training back."""
        return 1.0 if self.optimizer is None else 2.0

    def _direct_s(self, work: RowWork) -> Numbers:
        ranks = self.devices.ranks
        outputs = work.outputs * work.columns * element_bytes(self.exchange_precision)
        indices = work.lookups * work.bytes_per_index + work.bags * LENGTH_BYTES
        seconds: Numbers = (self._passes() * outputs + indices) / ranks * self.devices.exchange_s(1.0)
        return seconds

    def _in_node_s(self, work: RowWork) -> Numbers:
        devices = self.devices
        outputs = work.outputs * work.columns * element_bytes(self.exchange_precision)
        indices = (work.lookups * work.bytes_per_index + work.bags * LENGTH_BYTES) / devices.ranks
        group = devices.ranks_per_node
        inside = outputs * (group - 1) / group / devices.scale_up_bytes_per_s
        across = outputs / group * (devices.nodes - 1) / devices.nodes / devices.scale_out_bytes_per_s
        seconds: Numbers = indices * devices.exchange_s(1.0) + self._passes() * (inside + across)
        return seconds

    def _all_reduce_s(self, work: RowWork) -> Numbers:
        if self.optimizer is None:
            return np.zeros(len(work))
        rows = work.part * work.popularity.rows.sum(axis=1)
        slowest = min(self.devices.scale_up_bytes_per_s, self.devices.scale_out_bytes_per_s)
        share = (self.devices.ranks - 1) / self.devices.ranks
        seconds: Numbers = 2.0 * share * rows * work.columns * 4.0 / slowest
        return seconds

    def _host_s(self, shards: ShardWork) -> Numbers:
        return shards.missed_rows * shards.work.row_bytes / self.devices.host_bytes_per_s


@dataclass(frozen=True, kw_only=True)
class LookupCost:
    """Rows looked up, and vectors sent, as HugeCTR's planner weighs them.

    *Equation.* n·b/W + m·d·a/(4·N) for n look-ups of rows of b bytes and m outputs of d columns of a bytes:
    memory rate W, and rate N to the others of the node, or to other nodes where there are some. In units of
    one row read: hotness + mem_comm_bw_ratio/mem_comm_work_ratio per vector, with W/N and 8/2. Of a table
    over the GPUs of a node, each sends its share between nodes.

    **Source:** NVIDIA-Merlin/HugeCTR samples/dlrm/sharding/planner.py and train.py.
    """

    devices: Devices
    exchange_precision: str

    def seconds(self, shards: ShardWork) -> Numbers:
        """Return the seconds that each shard costs its rank for one batch."""
        devices, work = self.devices, shards.work
        rate = devices.scale_up_bytes_per_s if devices.nodes == 1 else devices.scale_out_bytes_per_s
        read = work.lookups * work.row_bytes / devices.accelerator.memory_bandwidth_bytes_per_s
        sent = work.outputs * work.columns * element_bytes(self.exchange_precision)
        sent = np.where(shards.in_node, sent / devices.ranks_per_node, sent)
        return read + np.where(shards.replicated, 0.0, sent / (_WORK_RATIO * rate))


def planner_cost(
    name: PlannerCost,
    *,
    devices: Devices,
    optimizer: EmbeddingOptimizerName | None,
    exchange_precision: str,
) -> PartCost:
    """Return what a scenario names as the planner's cost."""
    if name == "lookups":
        return LookupCost(devices=devices, exchange_precision=exchange_precision)
    if name == "torchrec":
        return TorchRecCost(
            ranks=devices.ranks,
            ranks_per_node=devices.ranks_per_node,
            exchange_precision=exchange_precision,
            training=optimizer is not None,
        )
    return KernelCost(devices=devices, optimizer=optimizer, exchange_precision=exchange_precision)
