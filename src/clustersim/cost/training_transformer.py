"""Operators of a transformer's training pass: forward, backward and what is kept between.

Fusion of the memory-bound kernels is that of Megatron-LM: bias with GeLU; bias, dropout and
residual addition; scale, mask and softmax. Normalisations and dropout of the attention
probabilities are kernels of their own.

**Source:** Narayanan et al., "Efficient Large-Scale Language Model Training on GPU
Clusters Using Megatron-LM", SC21, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import (
    GemmShape,
    Operator,
    element_bytes,
    elementwise,
    gemm,
    grouped_gemm,
    prefill_attention,
)
from clustersim.cost.training_block import Block, gradient_products
from clustersim.errors import CannotRunError, InputError, Problem

__all__ = ["MASKED_FRACTION", "Attention", "TransformerPass", "transformer_blocks"]

Attention = Literal["fused", "unfused"]
"""`fused`: one kernel that never writes the matrix of probabilities (FlashAttention, Dao et
al., NeurIPS 2022); `unfused`: products, softmax and dropout one by one."""

MASKED_FRACTION = 0.15
"""Tokens of a masked language model that go through the output layer (Devlin et al., NAACL 2019)."""

_FUSED_BACKWARD_FLOPS = 2.5
"""Products of the fused backward pass over those of the forward pass: five against two
(Dao, "FlashAttention-2", 2023, section 2.3)."""

_DROPOUT_MASK_BYTES = 1
_LOGIT_BYTES = 4
"""Logits are turned to fp32 for the loss (Korthikanti et al., 2022, section 4.3)."""


@dataclass(frozen=True)
class TransformerPass:
    """One micro-batch of a transformer: the sizes that its operators have in common."""

    model: TransformerModel
    samples: int
    sequence: int
    precision: str
    attention: Attention

    @property
    def tokens(self) -> int:
        """Tokens of the micro-batch."""
        return self.samples * self.sequence

    @property
    def element(self) -> int:
        """Bytes of one activation."""
        return element_bytes(self.precision)

    @property
    def query_width(self) -> int:
        """Elements of all query heads of a token."""
        return self.model.heads * self.model.head_dim

    @property
    def key_width(self) -> int:
        """Elements of all key heads of a token."""
        return self.model.kv_heads * self.model.head_dim

    def product(self, name: str, *, n: int, k: int, tokens: float | None = None) -> Operator:
        """Return a linear layer over the tokens."""
        return gemm(name, m=self.tokens if tokens is None else tokens, n=n, k=k, precision=self.precision)

    def memory(self, name: str, elements: float, *, mask: float = 0.0) -> Operator:
        """Return a memory-bound kernel that moves `elements`, and dropout masks of so many."""
        size_bytes = elements * self.element + mask * _DROPOUT_MASK_BYTES
        return elementwise(name, bytes_moved=size_bytes, precision=self.precision)

    def rows(self, name: str, elements: float) -> Operator:
        """Return a kernel that reduces along rows (norm, softmax) and moves `elements`."""
        return elementwise(name, kind="norm", bytes_moved=elements * self.element, precision=self.precision)

    def norm(self, name: str, *, passes: int) -> Operator:
        """Return a normalisation that moves the activations `passes` times."""
        return self.rows(name, float(passes * self.tokens * self.model.hidden))


def transformer_blocks(
    model: TransformerModel, *, samples: int, sequence: int, precision: str, attention: Attention
) -> tuple[Block, ...]:
    """Return the blocks of a transformer: embedding, attention and feed-forward parts, output.

    Raises
    ------
    InputError
        If the sequence is longer than the model's positions.
    CannotRunError
        For latent attention, whose backward pass is not modelled.

    **Valid when** every sample has `sequence` tokens (no padding), and the output layer sees
    all tokens of a causal model, `MASKED_FRACTION` of the others'. What stands outside the
    layers of an image encoder (patches, classes) is counted in parameters, not in time.
    **Checked by:** tests/workloads/test_training_cost.py.
    """
    if model.positional == "learned" and sequence > model.max_sequence:
        raise InputError(
            Problem(("sequence",), f"{sequence} tokens; {model.name} has {model.max_sequence} positions")
        )
    if model.mla is not None:
        raise CannotRunError(
            Problem(("model",), f"{model.name}: training with latent attention is not modelled")
        )
    run = TransformerPass(model, samples, sequence, precision, attention)
    return (_embedding(run), *_layers(run), _output(run))


def _layers(run: TransformerPass) -> Iterator[Block]:
    for layer in range(run.model.layers):
        yield _attention_block(run, layer)
        yield _ffn_block(run, layer)


def _block(
    run: TransformerPass,
    name: str,
    layer: int,
    *,
    parameters: int,
    products: Sequence[Operator],
    others: tuple[Sequence[Operator], Sequence[Operator]],
    kept_bytes: float,
) -> Block:
    """Add normalisation and residual addition, which end every part of a layer."""
    forward, backward = others
    elements = float(run.tokens * run.model.hidden)
    residual = run.memory(f"{name}.dropout_add", 3 * elements, mask=elements)
    residual_backward = run.memory(f"{name}.dropout_add.backward", 5 * elements, mask=elements)
    norm_backward = run.norm(f"{name}.norm.backward", passes=5)
    gradients = [gradient for operator in products for gradient in gradient_products(operator)]
    return Block(
        name=f"layer{layer}.{name}",
        layer=layer,
        parameters=parameters + run.model.norm_parameters,
        forward=(*products, *forward, residual, run.norm(f"{name}.norm", passes=2)),
        backward=(*gradients, *backward, *_bias_gradients(run, products), residual_backward, norm_backward),
        forward_flops=sum(operator.flops for operator in (*products, *_pair_products(run, name))),
        activation_bytes=kept_bytes + elements * (2 * run.element + _DROPOUT_MASK_BYTES),
        checkpoint_bytes=elements * run.element if name == "attention" else 0.0,
    )


def _bias_gradients(run: TransformerPass, products: Sequence[Operator]) -> Iterator[Operator]:
    """Each bias gradient is a sum over the tokens of its layer's output gradient."""
    for operator in products if run.model.bias == "all" else ():
        if isinstance(operator.shape, GemmShape):
            outputs = operator.shape.groups * operator.shape.m * operator.shape.n
            yield run.memory(f"{operator.name}.bias_gradient", outputs)


def _attention_block(run: TransformerPass, layer: int) -> Block:
    model, name = run.model, "attention"
    products = (
        run.product("qkv", n=run.query_width + 2 * run.key_width, k=model.hidden),
        run.product("projection", n=model.hidden, k=run.query_width),
    )
    kept = run.tokens * run.element * (2 * run.query_width + 2 * run.key_width)
    inner, inner_kept = (_fused if run.attention == "fused" else _unfused)(run)
    return _block(
        run,
        name,
        layer,
        parameters=model.attention_parameters,
        products=products,
        others=inner,
        kept_bytes=float(kept + inner_kept),
    )


def _pair_products(run: TransformerPass, name: str) -> tuple[Operator, ...]:
    """The products of queries with keys and of probabilities with values."""
    if name != "attention":
        return ()
    groups, length, width = run.samples * run.model.heads, run.sequence, run.model.head_dim
    return (
        grouped_gemm("scores", groups=groups, m=length, n=length, k=width, precision=run.precision),
        grouped_gemm("context", groups=groups, m=length, n=width, k=length, precision=run.precision),
    )


def _unfused(run: TransformerPass) -> tuple[tuple[list[Operator], list[Operator]], float]:
    """Products, scale, mask, softmax and dropout, one by one, and the bytes that they keep.

    Kept per probability: softmax output, dropout mask, dropout output: 5 bytes in half
    precision (Korthikanti et al., 2022, section 4.1).
    """
    products = _pair_products(run, "attention")
    pairs = float(run.samples * run.model.heads * run.sequence**2)
    forward = [
        *products,
        run.memory("scale", 2 * pairs),
        run.memory("mask", 2 * pairs),
        run.rows("softmax", 2 * pairs),
        run.memory("attention_dropout", 2 * pairs, mask=pairs),
    ]
    backward = [
        *(gradient for operator in products for gradient in gradient_products(operator)),
        run.memory("attention_dropout.backward", 2 * pairs, mask=pairs),
        run.rows("softmax.backward", 3 * pairs),
        run.memory("scale.backward", 2 * pairs),
    ]
    return (forward, backward), pairs * (2 * run.element + _DROPOUT_MASK_BYTES)


def _fused(run: TransformerPass) -> tuple[tuple[list[Operator], list[Operator]], float]:
    """One kernel each way; it keeps one fp32 number per query and head."""
    model = run.model
    kernel = prefill_attention(
        "attention",
        queries=run.sequence,
        heads=model.heads,
        kv_heads=model.kv_heads,
        head_dim=model.head_dim,
        precision=run.precision,
        batch=run.samples,
        causal=model.causal,
    )
    backward = replace(kernel, name="attention.backward", count=_FUSED_BACKWARD_FLOPS)
    return ([kernel], [backward]), 4.0 * run.tokens * model.heads


def _ffn_block(run: TransformerPass, layer: int) -> Block:
    model = run.model
    moe = model.moe if model.moe is not None and layer >= model.moe.dense_layers else None
    copies = 1 if moe is None else moe.experts_per_token + moe.shared_experts
    width = model.ffn_hidden if moe is None else moe.ffn_hidden
    groups = 1 if moe is None else moe.experts + moe.shared_experts
    inputs = 2 if model.gated_ffn else 1
    rows = run.tokens * copies / groups
    up = grouped_gemm("up", groups=groups, m=rows, n=inputs * width, k=model.hidden, precision=run.precision)
    down = grouped_gemm("down", groups=groups, m=rows, n=model.hidden, k=width, precision=run.precision)
    inner = float(run.tokens * copies * width)
    activation = run.memory("activation", (inputs + 1) * inner)
    activation_backward = run.memory("activation.backward", (2 * inputs + 1) * inner)
    return _block(
        run,
        "ffn",
        layer,
        parameters=model.ffn_parameters(layer),
        products=(up, down),
        others=([activation], [activation_backward]),
        kept_bytes=(inputs + 1) * inner * run.element,
    )


def _embedding(run: TransformerPass) -> Block:
    """Rows are gathered; the gradient is written for the whole table, then rows are added."""
    model = run.model
    elements = float(run.tokens * model.hidden)
    table = float(model.embedding_parameters)

    return Block(
        name="embedding",
        layer=None,
        parameters=model.embedding_parameters,
        forward=(
            run.memory("embedding", 2 * elements),
            run.memory("embedding.dropout", 2 * elements, mask=elements),
        ),
        backward=(
            run.memory("embedding.dropout.backward", 2 * elements, mask=elements),
            run.memory("embedding.backward", table + 3 * elements),
        ),
        forward_flops=0.0,
        activation_bytes=elements * _DROPOUT_MASK_BYTES,
    )


def _output(run: TransformerPass) -> Block:
    """Final norm, logits and loss; without a vocabulary only the norm."""
    model = run.model
    rows = run.tokens * (1.0 if model.causal else MASKED_FRACTION) if model.vocab else 0.0
    forward = [run.norm("output.norm", passes=2)]
    backward = [run.norm("output.norm.backward", passes=5)]
    flops = 0.0
    if rows:
        logits = run.product("logits", n=model.vocab, k=model.hidden, tokens=rows)
        loss_bytes = rows * model.vocab * (run.element + _LOGIT_BYTES)
        forward += [logits, elementwise("loss", bytes_moved=loss_bytes, precision=run.precision)]
        backward += [
            elementwise("loss.backward", bytes_moved=loss_bytes, precision=run.precision),
            *gradient_products(logits),
        ]
        flops = logits.flops
    return Block(
        name="output",
        layer=None,
        parameters=model.output_parameters + model.norm_parameters + model.other_parameters,
        forward=forward,
        backward=backward,
        forward_flops=flops,
        activation_bytes=rows * model.vocab * _LOGIT_BYTES + 2.0 * run.tokens * model.hidden * run.element,
    )
