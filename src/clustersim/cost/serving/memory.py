"""Bytes of weights, KV cache and activations on the GPUs of a serving replica."""

from __future__ import annotations

from clustersim.catalog.models import TransformerModel
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.operators import element_bytes
from clustersim.cost.serving.layout import ServingLayout, StageLayers

__all__ = ["activation_bytes", "kv_bytes_per_token", "stage_weight_bytes"]

_LOGIT_BYTES = 4


def stage_weight_bytes(
    model: TransformerModel,
    runs: StageLayers,
    *,
    layout: ServingLayout,
    formats: NumberFormats,
    first: bool,
    last: bool,
) -> float:
    """Return the bytes of weights on each GPU of a pipeline stage.

    *Equation.* Projections, dense feed-forward parts and shared experts are divided over the tensor group,
    routed experts over all GPUs of the stage, embedding and logits over the tensor group of the first and
    the last stage; norms, routers and the compressions of latent attention are on every GPU whole. The
    layers' matrices are in the format of weights, all else in the model's precision.
    """
    wide, narrow = element_bytes(formats.precision), formats.weight_bytes
    total = 0.0
    for layer, alike in runs:
        matrices, rests = _layer_elements(model, layer, layout)
        total += alike * (matrices * narrow + rests * wide)
    if first or (last and model.tied_embeddings):
        total += model.vocab * model.hidden / layout.tensor * wide
        total += (model.embedding_parameters - model.vocab * model.hidden) * wide
    if last:
        total += (model.output_parameters / layout.tensor + model.norm_parameters) * wide
        total += model.other_parameters * wide
    return total


def _layer_elements(model: TransformerModel, layer: int, layout: ServingLayout) -> tuple[float, float]:
    """Return the elements of one layer on one GPU: those of its matrices, and all others."""
    projections, copied = _projection_elements(model, layout.tensor)
    moe = model.moe
    if moe is None or layer < moe.dense_layers:
        return projections + model.dense_ffn_parameters / layout.tensor, copied
    expert = (3 if model.gated_ffn else 2) * model.hidden * moe.ffn_hidden
    routed = moe.experts * expert / layout.ranks
    shared = moe.shared_experts * expert / layout.tensor
    return projections + routed + shared, copied + model.hidden * moe.experts


def _projection_elements(model: TransformerModel, tensor: int) -> tuple[float, float]:
    """Return the elements of the projections on one GPU, and those of the norms."""
    norms = 2.0 * model.norm_parameters
    mla = model.mla
    if mla is not None:
        compress = model.hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim) + mla.kv_lora_rank
        compress += model.hidden * mla.q_lora_rank + mla.q_lora_rank if mla.q_lora_rank else 0
        return (model.attention_parameters - compress) / tensor + compress, norms
    copies = max(1.0, model.kv_heads / tensor) * tensor - model.kv_heads
    copied = 2 * copies * model.head_dim * model.hidden
    return (model.attention_parameters + copied) / tensor, norms


def kv_bytes_per_token(
    model: TransformerModel, *, layers: int, layout: ServingLayout, formats: NumberFormats
) -> float:
    """Return the bytes of KV cache per token on one GPU of a stage of so many layers.

    *Equation.* layers · 2 · max(1, kv_heads/tensor) · bytes of a row; a latent cache is on every GPU whole.
    """
    kv_heads = max(1.0, model.kv_heads / layout.tensor)
    return layers * formats.kv_token_bytes(model, kv_heads=kv_heads)


def activation_bytes(
    model: TransformerModel, tokens: int, *, sampled: int, layout: ServingLayout, formats: NumberFormats
) -> float:
    """Return the working memory of a step on each GPU.

    *Equation.* tokens · e · (3·hidden + max((q + 2·kv)/tensor, 2·ffn)) + sampled · vocab · 4:
    the residual stream, the input and the output of a block, the widest intermediate result
    (query, key and value; or gate and up projection, of a mixture of experts those of all copies that the
    GPU gets), and fp32 logits gathered on each GPU.

    **Valid when** attention is fused (no matrix of tokens × tokens) and buffers are reused from layer to
    layer.
    """
    moe = model.moe
    attention = (model.heads + 2 * model.kv_heads) * model.head_dim / layout.tensor
    ffn = model.ffn_hidden / layout.tensor
    if moe is not None:
        copies = layout.data * layout.expert_load * moe.experts_per_token / layout.expert
        experts = moe.ffn_hidden * copies / layout.expert_tensor
        ffn = max(
            ffn if moe.dense_layers else 0.0, experts + moe.shared_experts * moe.ffn_hidden / layout.tensor
        )
    working = tokens * element_bytes(formats.precision) * (3 * model.hidden + max(attention, 2 * ffn))
    return working + sampled * model.vocab * _LOGIT_BYTES
