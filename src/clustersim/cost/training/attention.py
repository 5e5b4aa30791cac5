"""The attention part of a transformer layer in training, on one GPU."""

from __future__ import annotations

from clustersim.cost.training.block import Block, Part, joined, replayed
from clustersim.cost.training.latent import latent_heads, latent_projections
from clustersim.cost.training.linear import column_linear, row_linear
from clustersim.cost.training.pairs import HeadShape, pairs_part
from clustersim.cost.training.passes import TransformerPass

__all__ = ["attention_block"]


def attention_block(run: TransformerPass) -> Block:
    """Return norm, projections, attention, output projection and residual addition, alike in all layers."""
    model = run.model
    heads = _heads(run) if model.mla is None else latent_heads(run)
    attention, pairs, pair_flops = pairs_part(run, heads)
    before = _projections(run, heads) if model.mla is None else latent_projections(run, heads)
    output = row_linear(
        run,
        "projection",
        n=model.hidden,
        k=heads.result_elements,
        bias=model.hidden if model.bias == "all" else 0,
        # Fused attention keeps its result anyway; a copy in fp8 is another tensor.
        kept_rows=0.0 if run.attention != "unfused" and run.arithmetic != "fp8" else None,
    )
    part = joined(
        [run.block_norm("attention.norm"), before, attention, output, run.residual("attention.dropout_add")]
    )
    return Block(
        name="attention",
        layer=0,
        part=replayed(part) if "attention" in run.captured else part,
        parameters_of_model=model.attention_parameters + model.norm_parameters,
        pairs=pairs,
        pair_flops=pair_flops,
        checkpoint_bytes=run.residual_elements * run.element,
        output_bytes=run.output_bytes,
    )


def _heads(run: TransformerPass) -> HeadShape:
    width = run.model.head_dim
    return HeadShape(heads=run.heads, kv_heads=run.kv_heads, key_width=width, value_width=width)


def _projections(run: TransformerPass, heads: HeadShape) -> Part:
    outputs = heads.query_elements + heads.kv_elements
    qkv = column_linear(
        run, "qkv", n=outputs, k=run.model.hidden, bias=0 if run.model.bias == "none" else outputs
    )
    # They are views of one tensor, whose gradient is put together from theirs.
    qkv += Part(backward=(run.memory("qkv.join", 2 * run.tokens * outputs),))
    if run.model.positional != "rope":
        return qkv
    # Rotated in place of a copy: queries and keys are read and written.
    rotated = 2 * run.tokens * (heads.query_elements + heads.kv_heads * heads.key_width)
    rope = Part(forward=(run.memory("rope", rotated),), backward=(run.memory("rope.backward", rotated),))
    return qkv + rope
