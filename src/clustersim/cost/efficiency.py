"""Efficiency curves: what share of its peaks a device reaches, by kind and shape of kernel.

Each curve turns an operator into three times: what the arithmetic takes, what the memory
traffic takes, and a fixed latency (filling and draining the device). The parameters lie in
`catalog/data/efficiency.yaml`, fitted by `tools/fit_efficiency.py` on measured kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import AttentionShape, GemmShape, Operator
from clustersim.errors import CatalogError, did_you_mean

__all__ = [
    "AttentionWork",
    "CurveSet",
    "DecodeAttentionCurve",
    "GemmCurve",
    "MemoryCurve",
    "PrefillAttentionCurve",
    "Roofs",
    "curve_set",
]

TILES = np.array(
    [
        (256, 128),
        (128, 256),
        (128, 128),
        (64, 256),
        (256, 64),
        (128, 64),
        (64, 128),
        (64, 64),
        (32, 128),
        (32, 64),
        (16, 64),
    ],
    dtype=float,
)
"""Output tiles (rows, columns) of one thread block: the menu of CUTLASS and cuBLAS kernels."""

SPLITS = np.array([1.0, 2.0, 4.0, 8.0])
"""Into how many parts the inner dimension may be split to fill the device (split-K)."""

QUERY_TILE = 128.0
"""Queries that one thread block of fused attention handles (Dao, FlashAttention-2, 2023)."""


class Roofs(NamedTuple):
    """One kernel under each roof, in seconds; the kernel takes latency + the larger of the two."""

    compute_s: float
    memory_s: float
    latency_s: float


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


class Curve(Protocol):
    """Turns an operator into its roofs on a device."""

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """Memory-bound kernels: norms, activations, residual additions, embeddings, optimizers.

    *Equation:* t = latency + bytes / (efficiency·bandwidth).
    **Valid when** operands come from device memory, not from a cache.
    """

    latency_s: float
    efficiency: float

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution; there is no compute roof."""
        rate = self.efficiency * accelerator.memory_bandwidth_bytes_per_s
        return Roofs(0.0, operator.bytes_moved / rate, self.latency_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmCurve:
    """Matrix products: tiles in waves over the compute units, beside a memory roof.

    *Equation:* the kernel library picks the tile (a×b, `TILES`) and the split s (`SPLITS`) that
    is fastest:

        t_c = min over (a×b, s) of  waves·2·a·b·(k/s + prologue_k) / (e(a, b)·peak/units) + [s > 1]·split_s
        waves = ceil(groups·ceil(m/a)·ceil(n/b)·s / units)
        e(a, b) = efficiency · r(a, b)/r(256, 128),  r(a, b) = 1 / (1 + tile_half·(a + b)/(a·b))
        t_m = bytes / (memory_efficiency·bandwidth)

    Parameters
    ----------
    latency_s
        Fixed time of a kernel.
    efficiency, tile_half
        Share of peak of the 256×128 tile with k → ∞ (at most what the device's
        `best_product_flops` allow), and how fast smaller tiles lose: operands are reused
        a·b/(a + b) times, r is half where that is `tile_half`.
    prologue_k
        Steps of the inner loop that filling and writing a tile amount to.
    memory_efficiency
        Share of the memory bandwidth.
    split_s
        Extra time for adding up the parts of a split inner dimension.

    **Valid when** m ≥ 1, n and k ≥ 64; dense, row-major operands.
    **Checked by:** tests/cost/test_efficiency.py; error tables in docs/cost.md.
    """

    latency_s: float
    efficiency: float
    tile_half: float
    prologue_k: float
    memory_efficiency: float
    split_s: float

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution."""
        assert isinstance(operator.shape, GemmShape)
        rate = accelerator.sustained(operator.precision, share=self.efficiency)
        unit_rate = rate / accelerator.compute_units
        compute_s = self._compute_s(operator.shape, unit_rate, accelerator.compute_units)
        memory_rate = self.memory_efficiency * accelerator.memory_bandwidth_bytes_per_s
        return Roofs(compute_s, operator.bytes_moved / memory_rate, self.latency_s)

    def _compute_s(self, shape: GemmShape, unit_rate: float, units: int) -> float:
        rows, columns = TILES[:, :1], TILES[:, 1:]
        tiles = shape.groups * np.ceil(shape.m / rows) * np.ceil(shape.n / columns) * SPLITS
        loss = 1.0 + self.tile_half * (rows + columns) / (rows * columns)
        loss /= 1.0 + self.tile_half * (256 + 128) / (256 * 128)
        steps = shape.k / SPLITS + self.prologue_k
        tile_s = 2.0 * rows * columns * steps * loss / unit_rate
        return float((np.ceil(tiles / units) * tile_s + (SPLITS > 1.0) * self.split_s).min())


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillAttentionCurve:
    """Fused attention of many queries: blocks of `QUERY_TILE` queries walk along the keys.

    *Equation:* with h = batch·heads·ceil(queries/128) blocks of mean length pairs/queries keys,

        t_c = max(h·(mean keys + p), units·(keys + p)) · 4·128·head_dim / (efficiency·peak), p = prologue_keys

    (all blocks spread evenly, or the longest block alone), and
    t_m = bytes / (memory_efficiency·bandwidth). Sequences of several lengths go into one kernel:
    the first term and t_m add up, of the second the largest counts.

    Parameters
    ----------
    latency_s
        Fixed time of a kernel.
    efficiency
        Share of peak in the middle of a long sequence.
    prologue_keys
        Keys that starting and ending a block (and the masked half of its diagonal) amount to.
    memory_efficiency
        Share of the memory bandwidth.

    **Valid when** attention is fused (FlashAttention-2 or -3), head_dim 64 to 256.
    """

    latency_s: float
    efficiency: float
    prologue_keys: float
    memory_efficiency: float

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
        blocks = shape.batch * shape.heads * np.ceil(shape.queries / QUERY_TILE)
        mean_keys = operator.flops / (4.0 * shape.batch * shape.heads * shape.head_dim * shape.queries)
        spread = blocks * (mean_keys + self.prologue_keys)
        longest = accelerator.compute_units * (shape.keys + self.prologue_keys)
        rate = accelerator.sustained(operator.precision, share=self.efficiency)
        key_s = 4.0 * QUERY_TILE * shape.head_dim / rate
        memory_rate = self.memory_efficiency * accelerator.memory_bandwidth_bytes_per_s
        return AttentionWork(
            float(spread * key_s), float(longest * key_s), operator.bytes_moved / memory_rate
        )


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


@dataclass(frozen=True)
class CurveSet:
    """The curves of one device family.

    Parameters
    ----------
    gemm
        By precision; convolutions use it too, as implicit matrix products.
    prefill_attention
        Fused attention of many queries, for any precision.
    grouped_decode, plain_decode
        Decode attention with fewer key-value heads than heads, and with as many.
    memory
        Everything that memory bounds, by kind of operator.
    sources
        Curve (`gemm.bf16`, `memory`, …) to source.
    """

    name: str
    gemm: Mapping[str, GemmCurve]
    prefill_attention: PrefillAttentionCurve
    grouped_decode: DecodeAttentionCurve
    plain_decode: DecodeAttentionCurve
    memory: Mapping[str, MemoryCurve]
    sources: Mapping[str, Source]

    def curve(self, operator: Operator) -> Curve:
        """Return the curve for an operator.

        Raises
        ------
        CatalogError
            If there is no curve for its precision.
        """
        if operator.kind in ("gemm", "conv"):
            return self._gemm(operator.precision)
        if operator.kind == "attention_prefill":
            return self.prefill_attention
        if operator.kind == "attention_decode":
            assert isinstance(operator.shape, AttentionShape)
            return (
                self.grouped_decode if operator.shape.kv_heads < operator.shape.heads else self.plain_decode
            )
        return self.memory[operator.kind]

    def _gemm(self, precision: str) -> GemmCurve:
        if precision not in self.gemm:
            hint = did_you_mean(precision, self.gemm)
            raise CatalogError(f"curve set '{self.name}' has no matrix products in '{precision}'.{hint}")
        return self.gemm[precision]


def _build(record: Record) -> CurveSet:
    fields = record.fields
    return CurveSet(
        name=record.name,
        gemm=MappingProxyType({key: GemmCurve(**value) for key, value in fields["gemm"].items()}),
        prefill_attention=PrefillAttentionCurve(**fields["prefill_attention"]),
        grouped_decode=DecodeAttentionCurve(**fields["grouped_decode"]),
        plain_decode=DecodeAttentionCurve(**fields["plain_decode"]),
        memory=MappingProxyType({key: MemoryCurve(**value) for key, value in fields["memory"].items()}),
        sources=MappingProxyType(dict(record.sources)),
    )


SHELF: Shelf[CurveSet] = Shelf("efficiency curve set", file="efficiency.yaml", build=_build)


def curve_set(name: str) -> CurveSet:
    """Return a set of curves; raise `CatalogError` for an unknown name."""
    return SHELF.get(name)
