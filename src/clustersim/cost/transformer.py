"""Operators of a transformer's forward pass on one GPU of a tensor-parallel group.

Sharding follows Megatron-LM (Shoeybi et al., arXiv:1909.08053): heads, feed-forward width and
vocabulary are divided over the group, norms and residuals are computed by every GPU. With more
GPUs than key-value heads, each GPU keeps one key-value head.

In the formulas T is tokens, h hidden, d head_dim, a heads and g kv_heads of one GPU, f the
feed-forward width of one GPU, e bytes per element.
"""

from __future__ import annotations

from itertools import groupby

from clustersim.catalog.models import TransformerModel
from clustersim.cost import latent_attention, mixture
from clustersim.cost.operators import (
    Operator,
    decode_attention,
    element_bytes,
    elementwise,
    gemm,
    padded,
    prefill_attention,
)
from clustersim.cost.serving.kv_precision import kv_row_bytes

__all__ = [
    "all_reduce_bytes",
    "attention_decode",
    "attention_prefill",
    "cache_write",
    "embedding_operators",
    "forward_flops",
    "kv_bytes_per_token",
    "layer_groups",
    "layer_operators",
    "output_operators",
    "tensor_problems",
    "weight_bytes",
]


def tensor_problems(model: TransformerModel, *, tensor: int) -> list[str]:
    """Return why the model cannot be divided over `tensor` GPUs; empty if it can."""
    problems = [
        f"{what} ({count}) cannot be divided over {tensor} GPUs"
        for what, count in (("heads", model.heads), ("feed-forward width", model.ffn_hidden))
        if count % tensor
    ]
    if model.mla is None and model.kv_heads % tensor and tensor % model.kv_heads:
        problems.append(f"key-value heads ({model.kv_heads}) cannot be divided over {tensor} GPUs")
    return problems


def layer_groups(model: TransformerModel) -> list[tuple[int, int]]:
    """Return runs of alike layers as (index of the first, how many).

    One run for most models; two where the first layers of a mixture of experts are dense.
    """
    runs = []
    index = 0
    for _, run in groupby(model.layer_parameter_counts):
        count = len(list(run))
        runs.append((index, count))
        index += count
    return runs


def layer_operators(
    model: TransformerModel, *, tokens: float, precision: str, tensor: int = 1, layer: int = 0
) -> list[Operator]:
    """Return everything of one layer but attention over the cache itself, in order.

    *Equation:* norm 2·T·h·e bytes; QKV product T × (a + 2g)·d × h; rotary embedding reads and
    writes T·(a + g)·d·e; output product T × h × a·d; residual 3·T·h·e; the feed-forward
    part likewise, with two or three matrices h × f.

    Parameters
    ----------
    tokens
        Of all sequences together.
    layer
        Index; matters only where layers differ (`layer_groups`).
    """
    return [
        _norm("attention.norm", model, tokens, precision),
        *_projections(model, tokens, precision, tensor),
        _residual("attention.residual", model, tokens, precision),
        _norm("ffn.norm", model, tokens, precision),
        *_feed_forward(model, tokens, precision, tensor, layer),
        _residual("ffn.residual", model, tokens, precision),
    ]


def _norm(name: str, model: TransformerModel, tokens: float, precision: str) -> Operator:
    size = tokens * model.hidden * element_bytes(precision)
    return elementwise(name, kind="norm", bytes_moved=2 * size, precision=precision)


def _residual(name: str, model: TransformerModel, tokens: float, precision: str) -> Operator:
    size = tokens * model.hidden * element_bytes(precision)
    return elementwise(name, bytes_moved=3 * size, precision=precision)


def _heads(model: TransformerModel, tensor: int) -> tuple[float, float]:
    """Return heads and key-value heads of one GPU."""
    return model.heads / tensor, max(1.0, model.kv_heads / tensor)


def _projections(model: TransformerModel, tokens: float, precision: str, tensor: int) -> list[Operator]:
    if model.mla is not None:
        return latent_attention.projections(model, tokens=tokens, precision=precision, tensor=tensor)
    heads, kv_heads = _heads(model, tensor)
    q_width, kv_width = heads * model.head_dim, kv_heads * model.head_dim
    operators = [
        gemm("attention.qkv", m=tokens, n=q_width + 2 * kv_width, k=model.hidden, precision=precision)
    ]
    if model.positional == "rope":
        size = 2 * tokens * (q_width + kv_width) * element_bytes(precision)
        operators.append(
            elementwise("attention.rope", kind="activation", bytes_moved=size, precision=precision)
        )
    operators.append(gemm("attention.output", m=tokens, n=model.hidden, k=q_width, precision=precision))
    return operators


def _feed_forward(
    model: TransformerModel, tokens: float, precision: str, tensor: int, layer: int
) -> list[Operator]:
    if model.moe is not None and layer >= model.moe.dense_layers:
        return mixture.feed_forward(model, tokens=tokens, precision=precision, tensor=tensor)
    width = model.ffn_hidden / tensor
    matrices = 2 if model.gated_ffn else 1
    activation = (matrices + 1) * tokens * width * element_bytes(precision)
    return [
        gemm("ffn.up", m=tokens, n=matrices * width, k=model.hidden, precision=precision),
        elementwise("ffn.activation", kind="activation", bytes_moved=activation, precision=precision),
        gemm("ffn.down", m=tokens, n=model.hidden, k=width, precision=precision),
    ]


def cache_write(model: TransformerModel, *, tokens: float, precision: str, tensor: int = 1) -> Operator:
    """Return the copy of new keys and values into the cache, in one layer."""
    size = tokens * kv_bytes_per_token(model, precision=precision, tensor=tensor) / model.layers
    return elementwise("attention.cache", bytes_moved=2 * size, precision=precision)


def attention_prefill(
    model: TransformerModel,
    *,
    queries: float,
    precision: str,
    past: float = 0,
    batch: float = 1,
    tensor: int = 1,
) -> Operator:
    """Return attention of one layer for `batch` chunks of `queries` tokens after `past` tokens each.

    Encoders (`causal` false) look at all tokens of the chunk.
    """
    if model.mla is not None:
        heads, kv_heads, head_dim = latent_attention.prefill_heads(model, tensor=tensor)
    else:
        (heads, kv_heads), head_dim = _heads(model, tensor), float(model.head_dim)
    return prefill_attention(
        "attention",
        queries=queries,
        past=past,
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        precision=precision,
        causal=model.causal,
    )


def attention_decode(
    model: TransformerModel, *, batch: float, context_sum: float, precision: str, tensor: int = 1
) -> Operator:
    """Return attention of one layer for one new token in each of `batch` sequences.

    `context_sum` counts the cached tokens of all of them. For a fixed batch, a roofline's time
    of it is affine in `context_sum`.
    """
    if model.mla is not None:
        return latent_attention.decode(
            model, batch=batch, context_sum=context_sum, precision=precision, tensor=tensor
        )
    heads, kv_heads = _heads(model, tensor)
    return decode_attention(
        "attention",
        batch=batch,
        context_sum=context_sum,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=model.head_dim,
        precision=precision,
    )


def embedding_operators(
    model: TransformerModel, *, tokens: float, precision: str, tensor: int = 1
) -> list[Operator]:
    """Return the look-up of token embeddings; none for a model without a vocabulary."""
    if model.vocab == 0:
        return []
    size = tokens * model.hidden * element_bytes(precision)
    return [elementwise("embedding", kind="embedding", bytes_moved=2 * size, precision=precision)]


def output_operators(
    model: TransformerModel, *, tokens: float, precision: str, tensor: int = 1
) -> list[Operator]:
    """Return the final norm and the product with the output embedding, T × V/tensor × h."""
    operators = [_norm("output.norm", model, tokens, precision)]
    if model.vocab:
        operators.append(
            padded(
                gemm("output.logits", m=tokens, n=model.vocab / tensor, k=model.hidden, precision=precision)
            )
        )
    return operators


def forward_flops(model: TransformerModel, *, queries: float, batch: float = 1, past: float = 0) -> float:
    """Return the FLOPs of a forward pass with logits for every token, on one GPU.

    About 2·active parameters·tokens + 4·layers·heads·head_dim·pairs.
    """
    tokens = queries * batch
    attention = attention_prefill(model, queries=queries, past=past, batch=batch, precision="bf16").flops
    layers = sum(
        count
        * sum(
            op.flops * op.count for op in layer_operators(model, tokens=tokens, precision="bf16", layer=first)
        )
        for first, count in layer_groups(model)
    )
    output = sum(op.flops for op in output_operators(model, tokens=tokens, precision="bf16"))
    return layers + model.layers * attention + output


def weight_bytes(model: TransformerModel, *, precision: str, tensor: int = 1) -> float:
    """Return bytes of weights on one GPU: matrices divided, norms and positions on every GPU."""
    _, kv_heads = _heads(model, tensor)
    copies = 0.0 if model.mla is not None else kv_heads * tensor - model.kv_heads
    replicated_kv = model.layers * 2 * copies * model.head_dim * model.hidden
    norms = (2 * model.layers + 1) * model.norm_parameters
    positions = model.embedding_parameters - model.vocab * model.hidden
    whole = norms + positions + model.other_parameters
    divided = model.parameters - whole + replicated_kv
    return (divided / tensor + whole) * element_bytes(precision)


def kv_bytes_per_token(model: TransformerModel, *, precision: str, tensor: int = 1) -> float:
    """Return bytes of KV cache per token on one GPU, all layers together.

    *Equation:* 2·layers·g·row(d), with the bytes of one row as `kv_precision.kv_row_bytes` has them; a latent
    cache, layers·row(rank + rope), is on every GPU whole.

    **Checked by:** tests/cost/test_kv_precision.py (published sizes).
    """
    if model.mla is not None:
        width = model.mla.kv_lora_rank + model.mla.qk_rope_head_dim
        return model.layers * kv_row_bytes(width, precision=precision)
    _, kv_heads = _heads(model, tensor)
    return 2.0 * model.layers * kv_heads * kv_row_bytes(model.head_dim, precision=precision)


def all_reduce_bytes(model: TransformerModel, *, tokens: float, precision: str) -> float:
    """Return the buffer of one tensor-parallel all-reduce, T·h·e; there are two per layer."""
    return tokens * model.hidden * element_bytes(precision)
