"""Operators: the work of one kernel as FLOPs, bytes and a shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from types import MappingProxyType
from typing import Literal

from clustersim.errors import CatalogError, did_you_mean

__all__ = [
    "ATTENTION_BACKWARD_FLOPS",
    "ELEMENT_BYTES",
    "AttentionShape",
    "GemmShape",
    "MemoryKind",
    "Operator",
    "RowShape",
    "backward_attention",
    "convolution",
    "decode_attention",
    "element_bytes",
    "elementwise",
    "expert_gemm",
    "gemm",
    "grouped_gemm",
    "padded",
    "prefill_attention",
]

ELEMENT_BYTES: Mapping[str, int] = MappingProxyType(
    {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
)
"""Bytes of one element as it lies in memory; tf32 is a mode of arithmetic on fp32 data."""

_OUTPUT_BYTES = MappingProxyType({**ELEMENT_BYTES, "fp8": 2, "int8": 2})
"""8-bit products are written as 16-bit numbers."""

ALIGNED_BYTES = 128
"""Rows that begin on multiples of a cache line are loaded best (NVIDIA, Matrix Multiplication Background
User's Guide, "Tensor Core Requirements": 128 bytes on A100)."""

ATTENTION_BACKWARD_FLOPS = 2.5
"""Products of the fused backward pass over those of the forward pass: five against two
(Dao, "FlashAttention-2", 2023, section 2.3)."""

Kind = Literal[
    "gemm",
    "expert_gemm",
    "conv",
    "attention_prefill",
    "attention_backward",
    "attention_decode",
    "elementwise",
    "activation",
    "norm",
    "fused_norm",
    "embedding",
    "optimizer",
    "embedding_bag",
    "embedding_update",
]
MemoryKind = Literal["elementwise", "activation", "norm", "fused_norm", "embedding", "optimizer"]
"""Memory-bound kernels, each with a curve of its own: `elementwise` streams (residual additions,
copies), `activation` (gated activations and rotary embeddings as serving engines have them),
`norm` (row-wise norms of serving engines), `fused_norm` (those of training frameworks, both
passes), `embedding` look-ups, `optimizer` updates."""


@dataclass(frozen=True, slots=True)
class GemmShape:
    """`groups` products of an m×k by a k×n matrix in one kernel.

    `alignment_bytes` is the largest power of two, `ALIGNED_BYTES` at most, that divides the rows of all
    three matrices as they lie in memory.
    """

    m: float
    n: float
    k: float
    groups: float = 1
    alignment_bytes: int = ALIGNED_BYTES


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """`batch` sequences of `queries` new tokens that look at `keys` tokens each, themselves included."""

    batch: float
    queries: float
    keys: float
    heads: float
    kv_heads: float
    head_dim: float


@dataclass(frozen=True, slots=True)
class RowShape:
    """Scattered rows of embedding tables, as a device moves them: short rows cost more than their bytes.

    `memory_bytes` go between memory and the last-level cache, `cache_bytes` between that and the
    multiprocessors; a row found in the cache is among the latter only.
    """

    memory_bytes: float
    cache_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One kernel, executed `count` times.

    Parameters
    ----------
    flops, bytes_moved
        Of one execution; a multiply-add counts as two. Bytes are the least that must go
        through device memory: each operand read once, each result written once.
    precision
        Of the arithmetic; see `ELEMENT_BYTES`.
    shape
        What the efficiency curve of its kind looks at; None for memory-bound kinds.
    count
        Executions, one after the other.
    launches
        Kernels that the host launches for one execution: libraries split some, as the products of a
        group one by one.
    """

    name: str
    kind: Kind
    flops: float
    bytes_moved: float
    precision: str
    shape: GemmShape | AttentionShape | RowShape | None = None
    count: float = 1
    launches: float = 1


def element_bytes(precision: str) -> int:
    """Return bytes per element; raise `CatalogError` for an unknown precision."""
    try:
        return ELEMENT_BYTES[precision]
    except KeyError:
        hint = did_you_mean(precision, ELEMENT_BYTES)
        raise CatalogError(f"unknown precision '{precision}'.{hint}") from None


def gemm(name: str, *, m: float, n: float, k: float, precision: str, count: float = 1) -> Operator:
    """Return a matrix product (m×k)·(k×n).

    *Equation:* FLOPs 2·m·n·k; bytes (m·k + k·n)·e + m·n·e_out.
    """
    return grouped_gemm(name, groups=1, m=m, n=n, k=k, precision=precision, count=count)


def grouped_gemm(
    name: str, *, groups: float, m: float, n: float, k: float, precision: str, count: float = 1
) -> Operator:
    """Return `groups` products of equal shape in one kernel, as the experts of one layer.

    Rows of n and of k elements lie one behind the other, as those of a layer's output, input and weights do.
    """
    size = element_bytes(precision)
    return Operator(
        name=name,
        kind="gemm",
        flops=2.0 * groups * m * n * k,
        bytes_moved=groups * ((m * k + k * n) * size + m * n * _OUTPUT_BYTES[precision]),
        precision=precision,
        shape=GemmShape(m, n, k, groups, min(_alignment(n * size), _alignment(k * size))),
        count=count,
    )


def _alignment(row_bytes: float) -> int:
    """Return the largest power of two that divides the length of a row, `ALIGNED_BYTES` at most."""
    whole = ceil(row_bytes)
    return min(whole & -whole, ALIGNED_BYTES)


def padded(product: Operator) -> Operator:
    """Return a product whose rows are padded in memory, as frameworks do with those of a vocabulary.

    **Source:** `make_vocab_size_divisible_by` of Megatron-LM, `padding_size` of vLLM's embeddings.
    """
    assert isinstance(product.shape, GemmShape)
    return replace(product, shape=replace(product.shape, alignment_bytes=ALIGNED_BYTES))


def expert_gemm(
    name: str, *, groups: float, m: float, n: float, k: float, precision: str, count: float = 1
) -> Operator:
    """Return the products of `groups` experts in the one kernel of a serving engine.

    Rows are gathered by index inside the kernel, which is slower than dense products of equal shape;
    training frameworks sort the rows first and run dense ones (`grouped_gemm`).
    """
    product = grouped_gemm(name, groups=groups, m=m, n=n, k=k, precision=precision, count=count)
    return replace(product, kind="expert_gemm")


def convolution(
    name: str,
    *,
    m: float,
    n: float,
    k: float,
    input_elements: float,
    output_elements: float,
    precision: str,
    count: float = 1,
) -> Operator:
    """Return a convolution as the matrix product it amounts to.

    Parameters
    ----------
    m, n, k
        Output pixels of the whole batch, output channels, input channels × kernel area.
    input_elements, output_elements
        Of the whole batch; the patches of an image are not written out (implicit GEMM).

    *Equation:* FLOPs 2·m·n·k; bytes (input + k·n + output)·e.
    """
    return Operator(
        name=name,
        kind="conv",
        flops=2.0 * m * n * k,
        bytes_moved=(input_elements + k * n + output_elements) * element_bytes(precision),
        precision=precision,
        shape=GemmShape(m, n, k),
        count=count,
    )


def elementwise(
    name: str,
    *,
    bytes_moved: float,
    precision: str,
    kind: MemoryKind = "elementwise",
    flops: float = 0.0,
    count: float = 1,
) -> Operator:
    """Return a kernel that memory bounds: activation, norm, residual, embedding, optimizer.

    Its `flops` are kept for accounting; they do not enter its time.
    """
    return Operator(
        name=name, kind=kind, flops=flops, bytes_moved=bytes_moved, precision=precision, count=count
    )


def prefill_attention(
    name: str,
    *,
    queries: float,
    heads: float,
    kv_heads: float,
    head_dim: float,
    precision: str,
    past: float = 0,
    batch: float = 1,
    causal: bool = True,
    count: float = 1,
) -> Operator:
    """Return fused attention of `queries` new tokens per sequence after `past` tokens.

    *Equation:* FLOPs 4·batch·heads·head_dim·pairs with pairs = queries·(past + (queries + 1)/2)
    under a causal mask, queries·(past + queries) without. Bytes: queries and results once,
    keys and values of past + queries tokens once.
    """
    keys = past + queries
    pairs = queries * (past + (queries + 1) / 2) if causal else queries * keys
    elements = 2 * queries * heads + 2 * keys * kv_heads
    return Operator(
        name=name,
        kind="attention_prefill",
        flops=4.0 * batch * heads * head_dim * pairs,
        bytes_moved=float(batch * elements * head_dim * element_bytes(precision)),
        precision=precision,
        shape=AttentionShape(batch, queries, keys, heads, kv_heads, head_dim),
        count=count,
    )


def backward_attention(name: str, forward: Operator) -> Operator:
    """Return the fused backward pass of a prefill attention.

    *Equation:* FLOPs `ATTENTION_BACKWARD_FLOPS` times the forward pass's. Bytes twice the forward
    pass's: queries, results and their gradient, keys and values are read, three gradients written.
    """
    if forward.kind != "attention_prefill":
        raise TypeError(f"{forward.name} is no attention of many queries")
    return replace(
        forward,
        name=name,
        kind="attention_backward",
        flops=ATTENTION_BACKWARD_FLOPS * forward.flops,
        bytes_moved=2.0 * forward.bytes_moved,
    )


def decode_attention(
    name: str,
    *,
    batch: float,
    context_sum: float,
    heads: float,
    kv_heads: float,
    head_dim: float,
    precision: str,
    count: float = 1,
) -> Operator:
    """Return fused attention of one new token in each of `batch` sequences.

    `context_sum` is the number of cached tokens that all sequences together look at.

    *Equation:* FLOPs 4·heads·head_dim·context_sum; bytes 2·kv_heads·head_dim·context_sum·e and
    queries and results once.
    """
    elements = 2 * context_sum * kv_heads + 2 * batch * heads
    return Operator(
        name=name,
        kind="attention_decode",
        flops=4.0 * heads * head_dim * context_sum,
        bytes_moved=float(elements * head_dim * element_bytes(precision)),
        precision=precision,
        shape=AttentionShape(batch, 1, context_sum / max(batch, 1), heads, kv_heads, head_dim),
        count=count,
    )
