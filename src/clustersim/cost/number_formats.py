"""In which formats a model is served: quantised weights and activations, sparse weights, KV cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import ELEMENT_BYTES, GemmShape, Operator, elementwise, grouped_gemm
from clustersim.cost.serving.kv_precision import kv_row_bytes

__all__ = ["WEIGHT_BYTES", "NumberFormats"]

WEIGHT_BYTES: Mapping[str, float] = MappingProxyType(
    {**ELEMENT_BYTES, "fp8": 1.0, "int8": 1.0, "int4": 0.5 + 2.5 / 128, "mxfp4": 0.5 + 1 / 32}
)
"""Bytes of one weight. int4: groups of 128 with a 16-bit scale and a 4-bit zero (GPTQ, Frantar et al.,
arXiv:2210.17323; AWQ, Lin et al., arXiv:2306.00978). mxfp4: groups of 32 with an 8-bit scale (OCP
Microscaling Formats, 2023). 8-bit formats have one scale per channel, which is left out."""

_SPARSE_INDEX_BYTES = 2 / 8
"""2:4 sparsity keeps two of four weights and two bits each for where they were (Mishra et al.,
arXiv:2104.08378)."""

_LAYER_PRODUCTS = ("attention.", "ffn.", "moe.up", "moe.down", "moe.shared")
"""Products that quantisation covers; router, embedding and logits keep the model's precision, as in vLLM,
TensorRT-LLM and compressed-tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFormats:
    """Formats of numbers in serving.

    *Equation.* Bytes of a product of T tokens with a k×n matrix: T·k·a + k·n·w + 2·T·n, where w is the
    bytes per weight and a those of an activation. Activations in 8 bits are multiplied at the device's
    8-bit rate, after a pass that reads 16 and writes 8 bits; weights alone in fewer bits are brought back
    to 16 bits in registers, and multiplied at the 16-bit rate.

    Parameters
    ----------
    precision
        Of everything that is not quantised: fp16 or bf16.
    weights
        Of the layers' matrices; None: `precision`.
    activations
        `fp8` or `int8`: inputs of the layers' products; None: `precision`.
    kv
        Of keys and values in the cache; None: `precision`.
    sparse
        2:4 structured sparsity of the layers' matrices.

    **Valid when** kernels unpack weights while they wait for memory, as Marlin does (Frantar et al.,
    arXiv:2408.11743: 3.9 times faster than 16 bits up to 16 rows, no slower at 128 and more).
    **Checked by:** tests/cost/test_number_formats.py.
    """

    precision: str
    weights: str | None = None
    activations: str | None = None
    kv: str | None = None
    sparse: bool = False

    @property
    def weight_bytes(self) -> float:
        """Bytes of one weight of the layers, with scales and indices."""
        dense = WEIGHT_BYTES[self.weights or self.precision]
        return 0.5 * (dense + _SPARSE_INDEX_BYTES) if self.sparse else dense

    def kv_token_bytes(self, model: TransformerModel, *, kv_heads: float) -> float:
        """Return the bytes that one layer keeps of a token, for so many key-value heads."""
        precision = self.kv or self.precision
        if model.mla is not None:
            return kv_row_bytes(model.mla.kv_lora_rank + model.mla.qk_rope_head_dim, precision=precision)
        return 2.0 * kv_heads * kv_row_bytes(model.head_dim, precision=precision)

    @property
    def plain(self) -> bool:
        """Whether the layers' products are as the model has them."""
        return self.weights is None and self.activations is None and not self.sparse

    @staticmethod
    def covers(operator: Operator) -> bool:
        """Whether quantisation and sparsity apply to an operator."""
        return operator.kind in ("gemm", "expert_gemm") and operator.name.startswith(_LAYER_PRODUCTS)

    def apply(self, operator: Operator) -> Iterator[Operator]:
        """Yield what becomes of an operator of a layer."""
        if self.plain or not self.covers(operator):
            yield operator
            return
        shape = operator.shape
        assert isinstance(shape, GemmShape)
        wide = ELEMENT_BYTES[self.precision]
        narrow = ELEMENT_BYTES[self.activations] if self.activations else wide
        if self.activations:
            moved = shape.groups * shape.m * shape.k * (wide + narrow)
            yield elementwise(f"{operator.name}.quantise", bytes_moved=moved, precision=self.precision)
        inputs, outputs = shape.m * shape.k * narrow, shape.m * shape.n * wide
        product = grouped_gemm(
            operator.name,
            groups=shape.groups,
            m=shape.m,
            n=shape.n,
            k=shape.k,
            precision=self.activations or self.precision,
            count=operator.count,
        )
        moved = shape.groups * (inputs + shape.k * shape.n * self.weight_bytes + outputs)
        yield replace(product, kind=operator.kind, bytes_moved=moved)
