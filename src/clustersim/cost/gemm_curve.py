"""The efficiency curve of matrix products: tiles in waves over the compute units, beside a memory roof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import GemmShape, Operator
from clustersim.cost.roofs import Roofs

__all__ = ["GemmCurve"]

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

_ROWS, _COLUMNS = TILES[:, :1], TILES[:, 1:]
_SPLIT = SPLITS > 1.0


@lru_cache(maxsize=4096)
def _tile_seconds(k: float, prologue_k: float, tile_half: float, unit_rate: float) -> np.ndarray:
    """Seconds of one tile on one unit, by size of the tile and split of the inner dimension k."""
    loss = 1.0 + tile_half * (_ROWS + _COLUMNS) / (_ROWS * _COLUMNS)
    loss /= 1.0 + tile_half * (256 + 128) / (256 * 128)
    seconds: np.ndarray = 2.0 * _ROWS * _COLUMNS * (k / SPLITS + prologue_k) * loss / unit_rate
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmCurve:
    """Matrix products: tiles in waves over the compute units, beside a memory roof.

    *Equation:* the kernel library picks the tile (a×b, `TILES`) and the split s (`SPLITS`) that
    is fastest:

        t_c = z · min over (a×b, s) of
                  waves·2·a·b·(k/s + prologue_k) / (e(a, b)·peak/units) + [s > 1]·split_s
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
    alignment
        z: how many times longer arithmetic takes where rows in memory are multiples of so many bytes
        only; 1 where nothing is said, as for whole cache lines.

    **Valid when** m ≥ 1, n and k ≥ 64; dense, row-major operands.
    **Checked by:** tests/cost/test_efficiency.py; error tables in docs/cost.md.
    """

    latency_s: float
    efficiency: float
    tile_half: float
    prologue_k: float
    memory_efficiency: float
    split_s: float
    alignment: Mapping[int, float] = field(default_factory=dict)

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution."""
        assert isinstance(operator.shape, GemmShape)
        rate = accelerator.rate(operator.precision, share=self.efficiency)
        unit_rate = rate / accelerator.compute_units
        split_s = self.split_s / accelerator.speed.compute
        compute_s = self._compute_s(operator.shape, unit_rate, accelerator.compute_units, split_s)
        memory_rate = self.memory_efficiency * accelerator.memory_bandwidth_bytes_per_s
        return Roofs(compute_s, operator.bytes_moved / memory_rate, self.latency_s)

    def _compute_s(self, shape: GemmShape, unit_rate: float, units: int, split_s: float) -> float:
        tiles = shape.groups * np.ceil(shape.m / _ROWS) * np.ceil(shape.n / _COLUMNS) * SPLITS
        tile_s = _tile_seconds(shape.k, self.prologue_k, self.tile_half, unit_rate)
        aligned_s = float((np.ceil(tiles / units) * tile_s + _SPLIT * split_s).min())
        return aligned_s * self.alignment.get(shape.alignment_bytes, 1.0)
