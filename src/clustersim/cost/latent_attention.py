"""Operators of multi-head latent attention (DeepSeek-V2, arXiv:2405.04434).

Prefill expands the latent cache into keys and values of every head; decode works on the
latent cache itself, with the expansion absorbed into the projections of query and output.
"""

from __future__ import annotations

from dataclasses import replace

from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import Operator, decode_attention, element_bytes, elementwise, gemm

__all__ = ["decode", "prefill_heads", "projections"]


def projections(model: TransformerModel, *, tokens: float, precision: str, tensor: int) -> list[Operator]:
    """Return the products before and after attention; the compressions are on every GPU whole."""
    mla = model.mla
    assert mla is not None
    heads = model.heads / tensor
    query_width = heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    expanded = heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    latent = mla.kv_lora_rank + mla.qk_rope_head_dim
    rope = 2 * tokens * (heads + 1) * mla.qk_rope_head_dim * element_bytes(precision)
    return [
        *_query(model, tokens, precision, query_width),
        gemm("attention.kv_compress", m=tokens, n=latent, k=model.hidden, precision=precision),
        gemm("attention.kv_expand", m=tokens, n=expanded, k=mla.kv_lora_rank, precision=precision),
        elementwise("attention.rope", kind="activation", bytes_moved=rope, precision=precision),
        gemm("attention.output", m=tokens, n=model.hidden, k=heads * mla.v_head_dim, precision=precision),
    ]


def _query(model: TransformerModel, tokens: float, precision: str, width: float) -> list[Operator]:
    assert model.mla is not None
    rank = model.mla.q_lora_rank
    if rank is None:
        return [gemm("attention.query", m=tokens, n=width, k=model.hidden, precision=precision)]
    return [
        gemm("attention.query_compress", m=tokens, n=rank, k=model.hidden, precision=precision),
        gemm("attention.query_expand", m=tokens, n=width, k=rank, precision=precision),
    ]


def prefill_heads(model: TransformerModel, *, tensor: int) -> tuple[float, float, float]:
    """Return heads, key-value heads and the mean of key and value widths of one GPU."""
    mla = model.mla
    assert mla is not None
    heads = model.heads / tensor
    return heads, heads, (mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim) / 2


def decode(
    model: TransformerModel, *, batch: float, context_sum: float, precision: str, tensor: int
) -> Operator:
    """Return attention of new tokens over the latent cache, which all heads share.

    *Equation:* bytes context_sum·(rank + rope)·e; FLOPs 2·a·(2·rank + rope)·context_sum.
    **Valid when** memory bounds it: with many heads on one GPU it nears the compute roof,
    which is not modelled here, so that time stays affine in `context_sum`.
    """
    mla = model.mla
    assert mla is not None
    heads = model.heads / tensor
    operator = decode_attention(
        "attention",
        batch=batch,
        context_sum=context_sum,
        heads=heads,
        kv_heads=1,
        head_dim=(mla.kv_lora_rank + mla.qk_rope_head_dim) / 2,
        precision=precision,
    )
    flops = 2.0 * heads * (2 * mla.kv_lora_rank + mla.qk_rope_head_dim) * context_sum
    return replace(operator, flops=flops)
