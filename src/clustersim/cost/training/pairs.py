"""Attention between queries and keys in training: fused or not, in one piece or over a context group.

A context group divides every sequence. Under a causal mask each GPU has one block of tokens from the
front and one from the back, so that all have the same pairs. Around a ring, keys and values of the
others come one by one while attention to those before is computed; in the all-gather variant they come
before.

**Source:** Liu et al., "Ring Attention", arXiv:2310.01889; NVIDIA Transformer Engine,
transformer_engine/pytorch/attention (context parallelism: `p2p` and `all_gather`); Llama team,
arXiv:2407.21783, section 3.3.2 (all-gather).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clustersim.cost.operators import Operator, backward_attention, grouped_gemm, prefill_attention
from clustersim.cost.training.block import Exchange, Operators, Part, gradient_products
from clustersim.cost.training.passes import DROPOUT_MASK_BYTES, TransformerPass

__all__ = ["HeadShape", "pairs_part"]

_TRITON = {"attention_prefill": 1.4, "attention_backward": 2.0}
"""How many times longer FlashAttention in Triton takes than FlashAttention-2: 1.3 to 1.5 forward, about 2
backward (Dao, 2023, section 4.1)."""

_FLASH_2_ON_HOPPER = {"attention_prefill": 1.75, "attention_backward": 1.6}
"""How many times longer FlashAttention-2 takes on H100 than FlashAttention-3: the middle of 1.5 to 2.0
forward and 1.5 to 1.75 backward (Shah et al., FlashAttention-3, 2024, section 4.1)."""

_ACCUMULATOR_BYTES = 4
"""Partial results of a ring are added up in fp32."""


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """Heads of one GPU; widths of queries and keys, and of values."""

    heads: int
    kv_heads: int
    key_width: int
    value_width: int

    @property
    def query_elements(self) -> int:
        """Elements of all queries of a token."""
        return self.heads * self.key_width

    @property
    def kv_elements(self) -> int:
        """Elements of all keys and values of a token."""
        return self.kv_heads * (self.key_width + self.value_width)

    @property
    def result_elements(self) -> int:
        """Elements of all results of a token."""
        return self.heads * self.value_width


def pairs_part(run: TransformerPass, shape: HeadShape) -> tuple[Part, Part, float]:
    """Return attention, what of it selective recomputation repeats, and its FLOPs over all pairs.

    Queries, keys and values are kept either way. Fused attention recomputes probabilities in its
    own backward pass, so that nothing is left to selective recomputation.

    **Checked by:** tests/cost/test_training_activations.py, tests/cost/test_training_shards.py.
    """
    kept = run.tokens * (shape.query_elements + shape.kv_elements) * run.element
    flops = 2.0 * run.tokens * run.sequence * shape.heads * (shape.key_width + shape.value_width)
    if run.attention == "unfused":
        inner = _unfused(run, shape)
        return inner + Part(kept_bytes=kept), inner, flops
    results = run.tokens * shape.result_elements * run.element
    part = _ring(run, shape) if run.shard.context_exchange == "ring" else _gathered(run, shape)
    statistics = 4.0 * run.tokens * shape.heads  # one fp32 number per query and head
    if run.attention == "triton":
        part = _slower(part, _TRITON)
    if run.hopper and run.attention in ("flash-2", "triton"):
        part = _slower(part, _FLASH_2_ON_HOPPER)
    return part + Part(kept_bytes=kept + results + statistics), Part(), flops


def _slower(part: Part, times: Mapping[str, float]) -> Part:
    """Return the fused kernels so many times slower, in the pass and in what they hide."""

    def slower(operators: Operators) -> Operators:
        return tuple(
            replace(operator, count=operator.count * times[operator.kind])
            if operator.kind in times
            else operator
            for operator in operators
        )

    def beside(exchanges: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
        return tuple(
            replace(each, beside=slower(each.beside), asynchronous=slower(each.asynchronous))
            for each in exchanges
        )

    return replace(
        part,
        forward=slower(part.forward),
        backward=slower(part.backward),
        exchanges=beside(part.exchanges),
        exchanges_backward=beside(part.exchanges_backward),
    )


def _kernel(run: TransformerPass, shape: HeadShape, *, queries: float, past: float, causal: bool) -> Operator:
    return prefill_attention(
        "attention",
        queries=queries,
        past=past,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=(shape.key_width + shape.value_width) / 2,
        precision=run.precision,
        batch=run.samples,
        causal=causal,
    )


def _ring(run: TransformerPass, shape: HeadShape) -> Part:
    """The own tokens, then those of the others, of which half is masked; and partial results added."""
    causal, others = run.model.causal, run.shard.context - 1
    queries = run.sequence / run.shard.context
    own = _kernel(run, shape, queries=queries, past=0, causal=causal)
    if not others:
        return Part(forward=(own,), backward=(backward_attention("attention.backward", own),))
    keys = queries / 2 if causal else queries
    other = replace(_kernel(run, shape, queries=queries, past=keys - queries, causal=False), count=others)
    sums = run.tokens * shape.result_elements * (run.element + 2 * _ACCUMULATOR_BYTES)
    gradients = run.tokens * (shape.query_elements + shape.kv_elements) * 3 * run.element
    correction = replace(run.memory("attention.add", sums / run.element), count=others)
    correction_backward = replace(run.memory("attention.add.backward", gradients / run.element), count=others)
    # c - 1 passes of a part each: what a ring all-gather of all parts sends.
    size_bytes = run.tokens * run.shard.context * shape.kv_elements * run.element
    forward, backward = (other,), (backward_attention("attention.backward", other),)
    return Part(
        forward=(own, other, correction),
        backward=(backward_attention("attention.backward", own), *backward, correction_backward),
        exchanges=(Exchange("context", "all_gather", size_bytes, forward, forward),),
        exchanges_backward=(Exchange("context", "all_gather", 2 * size_bytes, backward, backward),),
    )


def _gathered(run: TransformerPass, shape: HeadShape) -> Part:
    """All keys and values at once, gathered again backward; their gradients are summed and scattered."""
    queries = run.sequence / run.shard.context
    # Under a mask, queries from the front and the back look at half of all keys on average.
    past = (run.sequence - queries) / (2 if run.model.causal else 1)
    kernel = _kernel(run, shape, queries=queries, past=past, causal=run.model.causal)
    part = Part(forward=(kernel,), backward=(backward_attention("attention.backward", kernel),))
    if run.shard.context == 1:
        return part
    size_bytes = run.tokens * run.shard.context * shape.kv_elements * run.element
    gather = Exchange("context", "all_gather", size_bytes)
    scatter = Exchange("context", "reduce_scatter", size_bytes)
    return replace(part, exchanges=(gather,), exchanges_backward=(gather, scatter))


def _unfused(run: TransformerPass, shape: HeadShape) -> Part:
    """Products, scale, mask, softmax and dropout, and the bytes that they keep per probability.

    A causal model has scale, mask and softmax in one kernel that reads the lower triangle and
    writes the whole (Megatron-LM's fused softmax); others have them one by one (NVIDIA
    DeepLearningExamples, `BertSelfAttention`).

    Kept per probability: softmax output, dropout mask, dropout output: 5 bytes in half
    precision (Korthikanti et al., 2022, section 4.1).
    """
    groups, length = run.samples * shape.heads, run.sequence
    products = (
        grouped_gemm("scores", groups=groups, m=length, n=length, k=shape.key_width, precision=run.precision),
        grouped_gemm(
            "context", groups=groups, m=length, n=shape.value_width, k=length, precision=run.precision
        ),
    )
    pairs = float(groups * length**2)
    gradients = tuple(gradient for product in products for gradient in gradient_products(product))
    softmax = _masked_softmax(run, pairs)
    dropout = _attention_dropout(run, pairs)
    inner = softmax + dropout
    # Heads lie one after the other in the batched products, side by side in the output projection.
    moved = run.memory("context.transpose", 2 * run.tokens * shape.result_elements)
    return replace(
        inner,
        forward=(*products, *inner.forward, moved),
        backward=(*gradients, *inner.backward, replace(moved, name="context.transpose.backward")),
    )


def _masked_softmax(run: TransformerPass, pairs: float) -> Part:
    kept = pairs * run.element
    if run.model.causal:
        return Part(
            forward=(run.rows("softmax", 1.5 * pairs),),
            backward=(run.rows("softmax.backward", 2 * pairs),),
            kept_bytes=kept,
        )
    return Part(
        forward=(
            run.memory("scale", 2 * pairs),
            run.memory("mask", 2 * pairs),
            run.rows("softmax", 2 * pairs),
        ),
        backward=(run.rows("softmax.backward", 3 * pairs), run.memory("scale.backward", 2 * pairs)),
        kept_bytes=kept,
    )


def _attention_dropout(run: TransformerPass, pairs: float) -> Part:
    if not run.has_dropout:
        return Part()
    return Part(
        forward=(run.memory("attention_dropout", 2 * pairs, mask=pairs),),
        backward=(run.memory("attention_dropout.backward", 2 * pairs, mask=pairs),),
        kept_bytes=pairs * (run.element + DROPOUT_MASK_BYTES),
    )
