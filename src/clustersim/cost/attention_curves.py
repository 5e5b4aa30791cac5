"""The efficiency curves of fused attention: many queries, forward and backward, and one query."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import ATTENTION_BACKWARD_FLOPS, AttentionShape, Operator
from clustersim.cost.roofs import Roofs

__all__ = ["AttentionWork", "DecodeAttentionCurve", "PrefillAttentionCurve"]

QUERY_TILE = 128.0
"""Queries that one thread block of fused attention handles (Dao, FlashAttention-2, 2023)."""


class AttentionWork(NamedTuple):
    """What sequences bring into one kernel of prefill attention, in seconds.

    `spread_s` is the arithmetic over all units, `longest_s` that of the longest block on its
    one unit, `memory_s` the traffic.
    """

    spread_s: float
    longest_s: float
    memory_s: float

    def beside(self, other: AttentionWork) -> AttentionWork:
        """Return the work of both in one kernel: blocks share the units, the longest stays."""
        return AttentionWork(
            self.spread_s + other.spread_s,
            max(self.longest_s, other.longest_s),
            self.memory_s + other.memory_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillAttentionCurve:
    """Fused attention of many queries: blocks of `QUERY_TILE` queries walk along the keys.

    *Equation:* with h = batch·heads·ceil(queries/128) blocks of mean length pairs/queries keys,

        t_c = max(h·(mean keys + p), units·(keys + p)) · f·128·d / (efficiency·peak),   p = prologue_keys
        d = 128·(head_dim + softmax_width)/(128 + softmax_width)

    (all blocks spread evenly, or the longest block alone; f is 4, of the backward pass
    4·`ATTENTION_BACKWARD_FLOPS`), and t_m = bytes / (memory_efficiency·bandwidth). Sequences of
    several lengths go into one kernel: the first term and t_m add up, of the second the largest counts.

    Parameters
    ----------
    latency_s
        Fixed time of a kernel.
    efficiency
        Share of peak in the middle of a long sequence, with heads of width 128.
    prologue_keys
        Keys that starting and ending a block (and the masked half of its diagonal) amount to.
    memory_efficiency
        Share of the memory bandwidth.
    softmax_width
        Width of a head that the softmax of a score amounts to: what makes narrow heads slow.

    **Valid when** attention is fused (FlashAttention-2 or -3), head_dim 64 to 256.
    """

    latency_s: float
    efficiency: float
    prologue_keys: float
    memory_efficiency: float
    softmax_width: float = 0.0

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution."""
        return self.roofs_of(self.work(operator, accelerator))

    def roofs_of(self, work: AttentionWork) -> Roofs:
        """Return the three times of one kernel that does `work`."""
        return Roofs(max(work.spread_s, work.longest_s), work.memory_s, self.latency_s)

    def work(self, operator: Operator, accelerator: Accelerator) -> AttentionWork:
        """Return what the sequences of `operator` bring into a kernel."""
        shape = operator.shape
        assert isinstance(shape, AttentionShape)
        pair_flops = 4.0 * (ATTENTION_BACKWARD_FLOPS if operator.kind == "attention_backward" else 1.0)
        blocks = shape.batch * shape.heads * math.ceil(shape.queries / QUERY_TILE)
        pairs = operator.flops / (pair_flops * shape.batch * shape.heads * shape.head_dim)
        spread = blocks * (pairs / shape.queries + self.prologue_keys)
        longest = accelerator.compute_units * (shape.keys + self.prologue_keys)
        rate = accelerator.rate(operator.precision, share=self.efficiency)
        width = 128.0 * (shape.head_dim + self.softmax_width) / (128.0 + self.softmax_width)
        key_s = pair_flops * QUERY_TILE * width / rate
        memory_rate = self.memory_efficiency * accelerator.memory_bandwidth_bytes_per_s
        return AttentionWork(spread * key_s, longest * key_s, operator.bytes_moved / memory_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeAttentionCurve:
    """Fused attention of one query per sequence: the KV cache is read once.

    *Equation:* t = latency + bytes / (memory_efficiency·bandwidth·min(1, u/saturating_blocks)), where
    u = batch·kv_heads blocks read at once; affine in the context sum for a fixed batch.

    Parameters
    ----------
    latency_s
        Fixed time of a kernel.
    memory_efficiency
        Share of the memory bandwidth with enough blocks.
    saturating_blocks
        Blocks that are enough; 1 for kernels that split the keys of a sequence (flash decoding).

    **Valid when** sequences of a batch have similar lengths and the cache is not in L2.
    """

    latency_s: float
    memory_efficiency: float
    saturating_blocks: float

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution; memory is the only roof."""
        shape = operator.shape
        assert isinstance(shape, AttentionShape)
        spread = min(1.0, shape.batch * shape.kv_heads / self.saturating_blocks)
        rate = self.memory_efficiency * accelerator.memory_bandwidth_bytes_per_s * spread
        return Roofs(0.0, operator.bytes_moved / rate, self.latency_s)
