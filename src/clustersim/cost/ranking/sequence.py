"""Interactions over a sequence of behaviours: activation units (DIN), recurrent layers (DIEN), HSTU.

**Source:** Zhou et al., "Deep Interest Network", KDD 2018 (arXiv:1706.06978), section 4.3; Zhou et al.,
"Deep Interest Evolution Network", AAAI 2019 (arXiv:1809.03672), section 4; Zhai et al., "Actions Speak
Louder than Words", ICML 2024 (arXiv:2402.17152), section 3.
"""

from __future__ import annotations

from dataclasses import replace

from clustersim.catalog.ranking_layers import (
    LinearLayer,
    activation_unit,
    hstu_layers,
    recurrent_layers,
)
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator, backward_attention, prefill_attention
from clustersim.cost.ranking.mlp import (
    DenseRun,
    linear_backward,
    linear_forward,
    stack_backward,
    stack_forward,
)
from clustersim.cost.training.block import gradient_products

__all__ = [
    "attention_backward",
    "attention_forward",
    "hstu_backward",
    "hstu_forward",
    "recurrent_backward",
    "recurrent_forward",
]

Operators = tuple[Operator, ...]

_GATE_TENSORS = 2.0
"""Tensors of the hidden width beside the gates that the kernel of a recurrent cell reads and writes: the
state before and after."""


def attention_forward(model: RankingModel, run: DenseRun) -> Operators:
    """Each step and the candidate enter the activation unit; the results weigh the steps.

    Fused, one kernel prepares the unit's input; else the two vectors beside step and candidate have a
    kernel each, and one joins all.
    """
    sequence = float(model.interaction.sequence_length * model.step_width)
    return (
        *_unit_inputs(model, run, sequence),
        *stack_forward(run, activation_unit(model)),
        run.kernel("interaction.weighed_sum", elements=sequence + model.step_width, flops=2.0 * sequence),
        *_joined(model, run, "join"),
    )


def attention_backward(model: RankingModel, run: DenseRun) -> Operators:
    """The gradient of the sum goes to steps and weights, that of the unit's input to steps and candidate."""
    sequence = float(model.interaction.sequence_length * model.step_width)
    return (
        *_joined(model, run, "join_gradient"),
        run.kernel("interaction.weighed_sum_gradient", elements=2.0 * sequence, flops=4.0 * sequence),
        *stack_backward(run, list(activation_unit(model))),
        *_unit_inputs(model, run, sequence),
    )


def _unit_inputs(model: RankingModel, run: DenseRun, sequence: float) -> Operators:
    """Make the input of the unit out of steps and candidate; its gradient moves the same bytes back."""
    inputs = float(model.interaction.unit_inputs)
    if run.fused:
        return (run.kernel("interaction.unit_inputs", elements=(1.0 + inputs) * sequence),)
    made = max(0.0, inputs - 2.0)
    return (
        *((run.kernel("interaction.unit_terms", elements=3.0 * sequence, count=made),) if made else ()),
        run.kernel("interaction.unit_inputs", elements=2.0 * inputs * sequence),
    )


def _joined(model: RankingModel, run: DenseRun, name: str) -> Operators:
    if run.fused:
        return ()
    return (run.kernel(f"interaction.{name}", elements=2.0 * model.interaction_width),)


def recurrent_forward(model: RankingModel, run: DenseRun) -> Operators:
    """Input products of all steps at once; then per step a product that waits for the step before.

    Fused (cuDNN), the cell's gates are in the kernel of its product.
    """
    operators: list[Operator] = []
    for layer in recurrent_layers(model):
        if layer.after_step:
            operators += _stepwise(run, layer, model.interaction.hidden)
        else:
            operators += linear_forward(run, layer, activation=False)
        if layer.name.endswith("attention"):
            operators.append(_attention_scores(model, run, passes=1.0))
    return (*operators, *_joined(model, run, "join"))


def recurrent_backward(model: RankingModel, run: DenseRun) -> Operators:
    """Back through time: per step a product; weights of all steps get their gradient in one product."""
    operators: list[Operator] = [*_joined(model, run, "join_gradient")]
    for layer in reversed(list(recurrent_layers(model))):
        if layer.name.endswith("attention"):
            operators.append(_attention_scores(model, run, passes=2.0))
        if layer.after_step:
            whole = run.product(layer.name, m=layer.rows * run.batch, n=layer.outputs, k=layer.inputs)
            operators += _stepwise(run, layer, model.interaction.hidden, gradient=True)
            operators.append(gradient_products(whole)[1])
        else:
            operators += linear_backward(run, layer, activation=False)
    return tuple(operators)


def _stepwise(run: DenseRun, layer: LinearLayer, hidden: int, *, gradient: bool = False) -> Operators:
    """Return the products of a recurrent layer, one step after the other, and the kernels of its cells."""
    product = run.product(layer.name, m=run.batch, n=layer.outputs, k=layer.inputs, count=layer.rows)
    if gradient:
        product = replace(gradient_products(product)[0], count=layer.rows)
    if run.fused:
        return (product,)
    elements = layer.outputs + _GATE_TENSORS * hidden
    cell = f"{layer.name}.cell_gradient" if gradient else f"{layer.name}.cell"
    return (product, run.kernel(cell, elements=elements * (2.0 if gradient else 1.0), count=layer.rows))


def _attention_scores(model: RankingModel, run: DenseRun, *, passes: float) -> Operator:
    """Softmax over the steps and the steps times their weights."""
    elements = 3.0 * passes * model.interaction.sequence_length * model.interaction.hidden
    return run.kernel("interaction.attention_scores", elements=elements)


def hstu_forward(model: RankingModel, run: DenseRun) -> Operators:
    """Per layer: norm, projections to u, v, q and k, attention without softmax, gate, projection, residual.

    Where samples share users, the history of a user goes through once, and each candidate looks at it.
    """
    operators: list[Operator] = []
    for projection, output in _hstu_pairs(model, run):
        operators += (
            _per_token(run, projection, "norm", 2.0 * projection.inputs, fused_norm=True),
            *linear_forward(run, projection),
            _hstu_attention(model, run),
            _per_token(run, output, "gate", 3.0 * output.inputs, fused_norm=True),
            *linear_forward(run, output, activation=False),
        )
        if not run.fused:
            operators.append(_per_token(run, output, "residual", 3.0 * output.outputs))
    return (*operators, *_joined(model, run, "join"))


def hstu_backward(model: RankingModel, run: DenseRun) -> Operators:
    """Return the same layers from the last to the first; norm and gate move twice as much."""
    operators: list[Operator] = [*_joined(model, run, "join_gradient")]
    for projection, output in reversed(_hstu_pairs(model, run)):
        operators += (
            *linear_backward(run, output, activation=False),
            _per_token(run, output, "gate_gradient", 6.0 * output.inputs, fused_norm=True),
            backward_attention("interaction.attention_gradient", _hstu_attention(model, run)),
            *linear_backward(run, projection),
            _per_token(run, projection, "norm_gradient", 4.0 * projection.inputs, fused_norm=True),
        )
        if not run.fused:
            operators.append(_per_token(run, output, "residual_gradient", 3.0 * output.outputs))
    return tuple(operators)


def _hstu_pairs(model: RankingModel, run: DenseRun) -> list[tuple[LinearLayer, LinearLayer]]:
    """Return the two projections of each layer; `rows` are the tokens per sample of this pass."""
    layers = [replace(layer, rows=_tokens(model, run) / run.batch) for layer in hstu_layers(model)]
    return list(zip(layers[::2], layers[1::2], strict=True))


def _tokens(model: RankingModel, run: DenseRun) -> float:
    """Return tokens of a pass: each user's history once, and a token for each candidate."""
    return run.queries * (model.interaction.sequence_length - 1) + run.batch


def _per_token(
    run: DenseRun, layer: LinearLayer, name: str, elements: float, *, fused_norm: bool = False
) -> Operator:
    return run.kernel(
        f"{layer.name}.{name}",
        elements=elements * layer.rows,
        kind="fused_norm" if fused_norm else "elementwise",
    )


def _hstu_attention(model: RankingModel, run: DenseRun) -> Operator:
    """One kernel: causal over each user's history, and each candidate over the history and itself.

    *Equation:* pairs per user (n - 1)·n/2 + c·n for n tokens with the candidate, of which there are c: they
    do not see each other. Heads of queries and values of unlike widths count as the mean of both.
    """
    shape, length, candidates = model.interaction, model.interaction.sequence_length, run.batch / run.queries
    attention = prefill_attention(
        "interaction.attention",
        queries=length - 1 + candidates,
        heads=shape.heads,
        kv_heads=shape.heads,
        head_dim=(shape.qk_dimension + shape.value_dimension) / 2,
        precision=run.precision,
        batch=run.queries,
    )
    pairs = (length - 1) * length / 2 + candidates * length
    width = shape.heads * (shape.qk_dimension + shape.value_dimension)
    return replace(attention, flops=2.0 * run.queries * width * pairs)
