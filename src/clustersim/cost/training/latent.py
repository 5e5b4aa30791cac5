"""Latent attention (DeepSeek-V2, arXiv:2405.04434) in training: compressions and expansions.

Queries, and keys with values, go through a narrow product that every GPU of a tensor group has whole
and a wide one whose heads are divided. With sequence parallelism the narrow ones see the GPU's own
tokens, and what is gathered is their narrow result.

**Source:** NVIDIA Megatron-LM, megatron/core/transformer/multi_latent_attention.py.
"""

from __future__ import annotations

from clustersim.catalog.models import MlaConfig
from clustersim.cost.training.block import Part, joined, repeated
from clustersim.cost.training.linear import column_linear, linear
from clustersim.cost.training.pairs import HeadShape
from clustersim.cost.training.passes import TransformerPass

__all__ = ["latent_heads", "latent_projections"]


def latent_heads(run: TransformerPass) -> HeadShape:
    """Return the heads of this GPU; each has keys and values of its own."""
    mla = _mla(run)
    return HeadShape(
        heads=run.heads,
        kv_heads=run.heads,
        key_width=mla.qk_nope_head_dim + mla.qk_rope_head_dim,
        value_width=mla.v_head_dim,
    )


def latent_projections(run: TransformerPass, heads: HeadShape) -> Part:
    """Return everything between the norm of the residual stream and attention.

    Recomputed, queries, keys and values are not kept for attention: compressed ones are expanded again.
    """
    mla, hidden = _mla(run), run.model.hidden
    latent = mla.kv_lora_rank + mla.qk_rope_head_dim
    expanded = run.heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    part = joined(
        [
            _query(run, mla),
            # Its input is the one that the compression of the queries keeps.
            linear(run, "kv_compress", rows=run.residual_tokens, n=latent, k=hidden, kept_rows=0.0),
            run.norm("kv_norm", width=mla.kv_lora_rank, parameters=mla.kv_lora_rank),
            column_linear(run, "kv_expand", n=expanded, k=mla.kv_lora_rank),
            _positions(run, mla),
        ]
    )
    if "latent_projections" not in run.modules:
        return part
    again = tuple(each for each in part.forward if "_compress" not in each.name)
    return repeated(part, again, run.tokens * (heads.query_elements + heads.kv_elements) * run.element)


def _query(run: TransformerPass, mla: MlaConfig) -> Part:
    hidden, rank = run.model.hidden, mla.q_lora_rank
    width = run.heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    if rank is None:
        return column_linear(run, "query", n=width, k=hidden)
    return joined(
        [
            linear(run, "query_compress", rows=run.residual_tokens, n=rank, k=hidden),
            run.norm("query_norm", width=rank, parameters=rank),
            column_linear(run, "query_expand", n=width, k=rank),
        ]
    )


def _positions(run: TransformerPass, mla: MlaConfig) -> Part:
    """Rotate the positional parts; put keys together from their two parts, one copied to all heads."""
    keys = run.heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    moved = 2 * run.tokens * (keys + (run.heads + 1) * mla.qk_rope_head_dim)
    return Part(forward=(run.memory("rope", moved),), backward=(run.memory("rope.backward", moved),))


def _mla(run: TransformerPass) -> MlaConfig:
    assert run.model.mla is not None
    return run.model.mla
