"""Linear layers in training: products, casts to fp8, bias gradients, adapters, and their collectives.

Megatron-LM's column-parallel layers divide their outputs over the tensor group, row-parallel ones
their inputs (Shoeybi et al., arXiv:1909.08053). With sequence parallelism (Korthikanti et al.,
arXiv:2205.05198, section 4.2.2) the first gather their input and the second scatter their sums; the
input is kept divided and gathered again backward, beside the product for the gradient of the input.

**Source:** NVIDIA Megatron-LM, megatron/core/tensor_parallel/layers.py
(`LinearWithGradAccumulationAndAsyncCommunication`).
"""

from __future__ import annotations

from dataclasses import replace

from clustersim.cost.operators import GemmShape, Operator, elementwise, grouped_gemm, padded
from clustersim.cost.training.block import Operators, Part, gradient_products, joined
from clustersim.cost.training.passes import TransformerPass

__all__ = ["column_linear", "linear", "row_linear"]

_CAST_BYTES = 6
"""Cast of a 16-bit tensor to fp8: read for its largest magnitude (2, current scaling), then read and
written row-wise and transposed in one kernel (2, 1 + 1). Delayed scaling, which takes the
magnitude of passes before, and blocks that have scales of their own spare the first 2.
**Source:** NVIDIA Transformer Engine, `Float8CurrentScaling` and `cast_transpose`; the recipe of
Megatron-Bridge on H100."""


def linear(
    run: TransformerPass,
    name: str,
    *,
    rows: float,
    n: int,
    k: int,
    groups: int = 1,
    bias: int = 0,
    arithmetic: str | None = None,
    kept_rows: float | None = None,
    bias_rows: float | None = None,
    pads: bool = False,
) -> Part:
    """Return a linear layer of `groups` weights k×n, each over `rows` tokens.

    Parameters
    ----------
    bias
        Elements of its bias.
    arithmetic
        Precision; None takes that of the pass.
    kept_rows
        Rows of its input that are kept for the gradient of its weights; None keeps all.
    bias_rows
        Tokens to which the bias is added; None takes all.
    pads
        Whether its outputs are padded in memory.

    *Equation:* the gradient of the weights is added to a buffer of `run.gradient_bytes` per
    element in the same kernel (Megatron-LM's gradient accumulation fusion), where that buffer
    is wider than the weights: it is read and written in place of one write.
    **Checked by:** tests/cost/test_training_precision.py.
    """
    precision = run.arithmetic if arithmetic is None else arithmetic
    product = grouped_gemm(name, groups=groups, m=rows, n=n, k=k, precision=precision)
    product = padded(product) if pads else product
    input_gradient, weight_gradient = (_promoted(run, each) for each in gradient_products(product))
    casts, casts_backward = _casts(run, product)
    frozen = run.adapters is not None
    adapter = _adapter(run, product, kept_rows=rows if kept_rows is None else kept_rows)
    trained, untrained = run.held(groups * n * k + bias)
    return adapter + Part(
        forward=(*casts, product),
        backward=(*casts_backward, input_gradient),
        weight=()
        if frozen
        else (_accumulated(run, weight_gradient), *_bias_gradient(run, product, bias, bias_rows)),
        kept_bytes=0.0
        if frozen
        else groups * (rows if kept_rows is None else kept_rows) * k * _kept(run, precision),
        parameters=trained,
        frozen_parameters=untrained,
        flops=product.flops,
    )


def column_linear(
    run: TransformerPass,
    name: str,
    *,
    n: int,
    k: int,
    bias: int = 0,
    arithmetic: str | None = None,
    pads: bool = False,
) -> Part:
    """Return a linear layer that has a part of the outputs on this GPU, with its collectives."""
    part = linear(
        run,
        name,
        rows=run.tokens,
        n=n,
        k=k,
        bias=bias,
        arithmetic=arithmetic,
        kept_rows=run.residual_tokens,
        pads=pads,
    )
    if not run.shard.divides_sequence:
        reduce = run.gathered(
            "all_reduce", width=k, beside=part.weight, asynchronous=part.weight, beside_weights=True
        )
        return replace(part, exchanges_backward=reduce)
    again = run.gathered("all_gather", width=k, beside=part.backward, asynchronous=part.backward)
    scatter = run.gathered(
        "reduce_scatter", width=k, beside=part.weight, asynchronous=part.weight, beside_weights=True
    )
    return replace(
        part,
        exchanges=run.gathered("all_gather", width=k, beside=part.forward),
        exchanges_backward=(*(again if part.weight else ()), *scatter),
    )


def row_linear(
    run: TransformerPass, name: str, *, n: int, k: int, bias: int = 0, kept_rows: float | None = None
) -> Part:
    """Return a linear layer that has a part of the inputs on this GPU, with its collectives."""
    part = linear(
        run,
        name,
        rows=run.tokens,
        n=n,
        k=k,
        bias=bias,
        kept_rows=kept_rows,
        bias_rows=run.residual_tokens,  # it is added to the sums
    )
    if not run.shard.divides_sequence:
        return replace(part, exchanges=run.gathered("all_reduce", width=n))
    return replace(
        part,
        exchanges=run.gathered("reduce_scatter", width=n, beside=part.forward),
        exchanges_backward=run.gathered("all_gather", width=n, beside=part.backward),
    )


def _casts(run: TransformerPass, product: Operator) -> tuple[Operators, Operators]:
    """Casts of the input, forward, and of the output's gradient; weights are cast once per step."""
    if product.precision != "fp8":
        return (), ()
    shape = _shape(product)
    sizes = (shape.groups * shape.m * shape.k, shape.groups * shape.m * shape.n)
    casts = [
        (elementwise(f"{product.name}.{name}", bytes_moved=_CAST_BYTES * size, precision=run.precision),)
        for name, size in zip(("cast", "gradient_cast"), sizes, strict=True)
    ]
    return casts[0], casts[1]


def _promoted(run: TransformerPass, gradient: Operator) -> Operator:
    """Gradients in fp8 are added up with more bits than the tensor cores of some devices have."""
    return replace(gradient, count=run.fp8_promotion) if gradient.precision == "fp8" else gradient


def _kept(run: TransformerPass, precision: str) -> float:
    """Bytes per element of a kept input: Transformer Engine keeps the fp8 copy for the weights' gradient."""
    return 1.0 if precision == "fp8" else float(run.element)


def _accumulated(run: TransformerPass, gradient: Operator) -> Operator:
    if run.gradient_bytes <= run.element:
        return gradient
    shape = _shape(gradient)
    extra = shape.groups * shape.m * shape.n * (2 * run.gradient_bytes - run.element)
    return replace(gradient, bytes_moved=gradient.bytes_moved + extra)


def _bias_gradient(run: TransformerPass, product: Operator, bias: int, rows: float | None) -> Operators:
    """The gradient of a bias is a sum over the tokens of its layer's output gradient."""
    if not bias:
        return ()
    shape = _shape(product)
    elements = shape.groups * (shape.m if rows is None else rows) * shape.n
    return (run.memory(f"{product.name}.bias_gradient", elements),)


def _adapter(run: TransformerPass, product: Operator, *, kept_rows: float) -> Part:
    """Return the adapters beside a frozen product; they share its input, which is kept once."""
    if run.adapters is None:
        return Part()
    shape = _shape(product)
    widths = run.adapters.widths(
        product.name, outputs=shape.n, heads=run.heads, kv_heads=run.kv_heads, gated=run.model.gated_ffn
    )
    kept = Part(kept_bytes=shape.groups * kept_rows * shape.k * run.element)
    parts = [_low_rank(run, product, rank=run.adapters.rank, outputs=width) for width in widths]
    return joined([kept, *parts]) if parts else Part()


def _low_rank(run: TransformerPass, product: Operator, *, rank: int, outputs: float) -> Part:
    """Return A·x and B·(A·x), and the addition of what they give."""
    shape, name, precision = _shape(product), product.name, run.precision
    down = grouped_gemm(
        f"{name}.adapter_down", groups=shape.groups, m=shape.m, n=rank, k=shape.k, precision=precision
    )
    up = grouped_gemm(
        f"{name}.adapter_up", groups=shape.groups, m=shape.m, n=outputs, k=rank, precision=precision
    )
    gradients = [gradient_products(operator) for operator in (up, down)]
    rows = shape.groups * shape.m
    return Part(
        forward=(down, up, run.memory(f"{name}.adapter_add", 3 * rows * outputs)),
        backward=(
            *(first for first, _ in gradients),
            run.memory(f"{name}.adapter_add.backward", 3 * rows * shape.k),
        ),
        weight=tuple(second for _, second in gradients),
        kept_bytes=rows * rank * run.element,
        parameters=round(shape.groups * rank * (shape.k + outputs)),
        flops=down.flops + up.flops,
    )


def _shape(operator: Operator) -> GemmShape:
    assert isinstance(operator.shape, GemmShape)
    return operator.shape
