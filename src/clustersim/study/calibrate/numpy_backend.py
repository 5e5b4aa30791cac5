"""The processor as NumPy drives it: fp32, attention by products and a softmax."""

from __future__ import annotations

import os
import platform

import numpy as np

from clustersim.study.calibrate.backends import Kernel
from clustersim.study.calibrate.timing import best_seconds, held_seconds

__all__ = ["NumpyBackend"]

_SEED = 1


def _nothing() -> None:
    """A processor has done what it was told when the call returns."""


class NumpyBackend:
    """A `Backend`: what the BLAS under NumPy reaches on this machine."""

    vendor = "CPU"
    precisions: tuple[str, ...] = ("fp32",)
    attention_precision = "fp32"
    skips_masked = False

    def __init__(self) -> None:
        self.device_name = platform.processor() or platform.machine()
        self.software = f"NumPy {np.__version__}, Python {platform.python_version()}"
        self.compute_units = os.cpu_count() or 1
        self.memory_bytes = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        self._random = np.random.default_rng(_SEED)

    def _normal(self, *shape: int) -> np.ndarray:
        return self._random.standard_normal(shape, dtype=np.float32)

    def product(self, m: int, n: int, k: int, *, precision: str) -> Kernel:
        """Return a product of normally distributed matrices."""
        a, b, c = self._normal(m, k), self._normal(k, n), np.empty((m, n), np.float32)
        return lambda: np.matmul(a, b, out=c)

    def attention(
        self, *, batch: int, queries: int, keys: int, heads: int, kv_heads: int, head_dim: int
    ) -> Kernel:
        """Return attention over all pairs: NumPy has no kernel that leaves the masked half out."""
        q = self._normal(batch, kv_heads, heads // kv_heads * queries, head_dim)
        k, v = (self._normal(batch, kv_heads, keys, head_dim) for _ in range(2))

        def run() -> np.ndarray:
            scores = q @ k.swapaxes(-1, -2)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            result: np.ndarray = weights @ v
            return result

        return run

    def attention_backward(
        self, *, batch: int, queries: int, heads: int, kv_heads: int, head_dim: int
    ) -> Kernel | None:
        """Return None: there is no automatic differentiation."""
        return None

    def copy(self, size_bytes: int) -> Kernel:
        """Return a copy of so many bytes."""
        source = self._normal(max(1, size_bytes // 4))
        target = np.empty_like(source)
        return lambda: np.copyto(target, source)

    def norm(self, rows: int, width: int) -> Kernel:
        """Return a root-mean-square normalisation along rows."""
        x, y = self._normal(rows, width), np.empty((rows, width), np.float32)

        def run() -> object:
            scale = 1.0 / np.sqrt(np.einsum("ij,ij->i", x, x) / width)
            return np.multiply(x, scale[:, None], out=y)

        return run

    def seconds(self, kernel: Kernel) -> float:
        """Return the time of one execution."""
        return best_seconds(kernel, synchronise=_nothing)

    def held_seconds(self, kernel: Kernel, *, hold_s: float) -> float:
        """Return the mean time of one execution after `hold_s` without a pause."""
        return held_seconds(kernel, hold_s=hold_s, synchronise=_nothing)

    def launch_s(self) -> float:
        """Return the time of a call that does next to nothing."""
        x = np.zeros(1, np.float32)
        return self.seconds(lambda: np.add(x, 1.0, out=x))

    def all_reduce_bytes_per_s(self) -> float | None:
        """Return None: there is one device."""
        return None
