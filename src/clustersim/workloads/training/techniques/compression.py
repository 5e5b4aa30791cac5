"""Gradients with fewer bytes: what is sent in place of them, and what making and reading it costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import elementwise, gemm
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.spec.techniques import CompressionSpec

__all__ = ["Compression"]

_INDEX_BYTES = 4.0
"""Of one index of top-k: int32."""

_VALUE_BYTES = 4.0
"""Of one value of top-k: fp32."""


@dataclass(frozen=True)
class Compression:
    """A codec between the gradients of a bucket and what goes over the network.

    *Equation.* Of n gradients of g bytes each, all kernels bound by memory but for the products:

        fp16       2·n bytes, all-reduced; encode reads g·n and writes 2·n, decode the other way
        int8       n bytes, all-reduced, with one scale for a bucket; encode reads the gradients twice
                   (largest magnitude, then values) and writes n, decode reads n and writes g·n
        top-k      k = density·n values and indices of 8 bytes each. All-reduce becomes all-gather, as ranks
                   choose different elements: D ranks receive 8·k·D bytes. Encode adds what was left the
                   last time (reads 2, writes 1), selects in two passes over the magnitudes, and writes k and
                   what is left; decode adds up D·k values into g·n zeros
        powersgd   a bucket as a matrix of √n × √n: factors of 2·r·√n fp32 values, all-reduced one after
                   the other. Encode multiplies twice by a matrix of rank r, decode once: 6·n·r FLOPs; it
                   reads and writes what was left the last time (3 times 4·n)

    Parameters
    ----------
    gradient_bytes
        Per gradient, uncompressed.

    **Valid when** gradients stay what they are otherwise: what compression costs in steps to the same loss
    is not modelled; PowerSGD's matrices are as square as a bucket (those of layers are less so: r·(a + b)
    values for a·b gradients), and its orthogonalisation of r columns is small.
    **Source:** Dettmers, ICLR 2016 (8 bits); Lin et al., "Deep Gradient Compression", ICLR 2018 (top-k with
    feedback of what is left); Vogels et al., "PowerSGD", NeurIPS 2019; PyTorch's `default_hooks` and
    `powerSGD_hook`.
    **Checked by:** tests/workloads/test_training_compression.py.
    """

    spec: CompressionSpec
    accelerator: Accelerator
    gradient_bytes: float

    def messages(self, count: float, *, ranks: int) -> Iterable[tuple[str, float]]:
        """Return collectives of `ranks`, and their sizes, for `count` gradients of a bucket."""
        method = self.spec.method
        if method == "fp16":
            return [("all_reduce", 2.0 * count)]
        if method == "int8":
            return [("all_reduce", count)]
        if method == "top-k":
            chosen = self.spec.density * count
            return [("all_gather", ranks * chosen * (_VALUE_BYTES + _INDEX_BYTES))]
        factor_bytes = 4.0 * self._rank(count) * math.sqrt(count)
        return [("all_reduce", factor_bytes), ("all_reduce", factor_bytes)]

    def encode(self, count: float) -> KernelTime:
        """Return the time of making what is sent of `count` gradients."""
        g, method = self.gradient_bytes, self.spec.method
        if method == "fp16":
            return self._moved("encode", count * (g + 2.0))
        if method == "int8":
            return self._moved("encode", count * (2.0 * g + 1.0))
        if method == "top-k":
            chosen = self.spec.density * count * (_VALUE_BYTES + _INDEX_BYTES)
            return self._moved("encode", count * (3.0 * g + 2.0 * g + g) + chosen)
        return self._moved("encode", 3.0 * 4.0 * count) + self._product(count) * 2.0

    def decode(self, count: float, *, ranks: int) -> KernelTime:
        """Return the time of reading what has come from `ranks` in place of `count` gradients."""
        g, method = self.gradient_bytes, self.spec.method
        if method == "fp16":
            return self._moved("decode", count * (2.0 + g))
        if method == "int8":
            return self._moved("decode", count * (1.0 + g))
        if method == "top-k":
            read = ranks * self.spec.density * count * (_VALUE_BYTES + _INDEX_BYTES)
            return self._moved("decode", count * g + read)
        return self._product(count)

    def _rank(self, count: float) -> float:
        return min(float(self.spec.rank), math.sqrt(count))

    def _moved(self, name: str, size_bytes: float) -> KernelTime:
        kernel = elementwise(f"gradient {name}", kind="optimizer", bytes_moved=size_bytes, precision="fp32")
        return Roofline(self.accelerator).kernel(kernel)

    def _product(self, count: float) -> KernelTime:
        side = math.sqrt(count)
        product = gemm("gradient factor", m=side, n=self._rank(count), k=side, precision="fp32")
        return Roofline(self.accelerator).kernel(product)
