"""The dense layers of a ranking model, one by one: widths, parameters and FLOPs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from clustersim.catalog.ranking_models import RankingModel

__all__ = [
    "LinearLayer",
    "Part",
    "activation_product_flops",
    "activation_unit",
    "cross_layers",
    "hstu_layers",
    "interaction_width",
    "linear_layers",
    "recurrent_layers",
]

Part = Literal["bottom", "interaction", "top", "heads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearLayer:
    """One linear layer: `rows` vectors per sample go through the same inputs × outputs weights.

    `after_step` marks a recurrent layer: each row waits for the result of the one before.
    """

    name: str
    part: Part
    inputs: int
    outputs: int
    rows: float = 1
    bias: bool = True
    after_step: bool = False

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.inputs + (1 if self.bias else 0)) * self.outputs

    @property
    def flops(self) -> float:
        """Operations per sample: 2·rows·inputs·outputs."""
        return 2.0 * self.rows * self.inputs * self.outputs


def interaction_width(model: RankingModel) -> int:
    """Return the width of what the interaction hands to the top MLP.

    *Equation:* with F vectors `dot` gives the bottom MLP's width + F·(F-1)/2; the others keep all
    features one behind the other, and add the result of the sequence where there is one.
    """
    kind = model.interaction.kind
    if kind == "dot":
        vectors = model.feature_vectors
        return model.dense_width + vectors * (vectors - 1) // 2
    if kind == "attention-gru":
        return model.feature_width + model.interaction.hidden
    if kind == "concatenation":
        return model.feature_width + model.sequence_elements
    return model.feature_width + model.step_width


def linear_layers(model: RankingModel) -> Iterator[LinearLayer]:
    """Yield the linear layers in the order in which a sample meets them; heads one after the other."""
    yield from _stack("bottom", (model.dense_features, *model.bottom_mlp))
    yield from _interaction_layers(model)
    yield from _stack("top", (interaction_width(model), *model.top_mlp))
    if model.task_mlp:
        inputs = (model.top_mlp[-1] if model.top_mlp else interaction_width(model)) + model.factor_width
        for task in range(model.tasks):
            yield from _stack("heads", (inputs, *model.task_mlp), prefix=f"{task}.")


def _stack(part: Part, widths: Sequence[int], *, prefix: str = "") -> Iterator[LinearLayer]:
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        yield LinearLayer(name=f"{part}.{prefix}{number}", part=part, inputs=inputs, outputs=outputs)


def _interaction_layers(model: RankingModel) -> Iterator[LinearLayer]:
    kind = model.interaction.kind
    if kind == "dcn-v2":
        yield from cross_layers(model)
    elif kind == "transformer":
        yield from hstu_layers(model)
    elif kind == "attention":
        yield from activation_unit(model)
    elif kind == "attention-gru":
        yield from recurrent_layers(model)


def cross_layers(model: RankingModel) -> Iterator[LinearLayer]:
    """Yield W and V of x_{l+1} = x_0 ∘ (W·V·x_l + b) + x_l; one square matrix without a rank."""
    width, rank = model.feature_width, model.interaction.rank
    for number in range(model.interaction.layers):
        name = f"interaction.cross.{number}"
        if rank is None:
            yield LinearLayer(name=name, part="interaction", inputs=width, outputs=width)
        else:
            yield LinearLayer(name=f"{name}.v", part="interaction", inputs=width, outputs=rank, bias=False)
            yield LinearLayer(name=f"{name}.w", part="interaction", inputs=rank, outputs=width)


def hstu_layers(model: RankingModel) -> Iterator[LinearLayer]:
    """Yield the two projections of each HSTU layer: to u, v, q and k, and from the gated attention."""
    shape, width = model.interaction, model.step_width
    projected = shape.heads * 2 * (shape.qk_dimension + shape.value_dimension)
    attended = shape.heads * shape.value_dimension
    for number in range(shape.layers):
        for name, inputs, outputs in (("uvqk", width, projected), ("output", attended, width)):
            yield LinearLayer(
                name=f"interaction.hstu.{number}.{name}",
                part="interaction",
                inputs=inputs,
                outputs=outputs,
                rows=shape.sequence_length,
            )


def activation_unit(model: RankingModel) -> Iterator[LinearLayer]:
    """Yield the layers that each step of the sequence goes through, with the candidate beside it."""
    shape = model.interaction
    for number, (inputs, outputs) in enumerate(
        pairwise((shape.unit_inputs * model.step_width, *shape.unit_mlp))
    ):
        yield LinearLayer(
            name=f"interaction.unit.{number}",
            part="interaction",
            inputs=inputs,
            outputs=outputs,
            rows=shape.sequence_length,
        )


def recurrent_layers(model: RankingModel) -> Iterator[LinearLayer]:
    """Yield DIEN's two recurrent layers and the projection of the attention between them."""
    shape = model.interaction
    hidden, gated = shape.hidden, shape.gates * shape.hidden
    for name, inputs, outputs, after_step in (
        ("extract.input", model.step_width, gated, False),
        ("extract.recurrent", hidden, gated, True),
        ("attention", hidden, hidden, False),
        ("evolve.input", hidden, gated, False),
        ("evolve.recurrent", hidden, gated, True),
    ):
        yield LinearLayer(
            name=f"interaction.{name}",
            part="interaction",
            inputs=inputs,
            outputs=outputs,
            rows=shape.sequence_length,
            after_step=after_step,
        )


def activation_product_flops(model: RankingModel) -> float:
    """Return operations per sample of products of two activations.

    *Equation:* `dot`: 2·F²·D, the whole square of which a triangle is kept; `transformer`: per layer
    2·heads·(qk + value)·n·(n + 1)/2 for a causal sequence of n; `attention`: 2·n·width to add the
    weighed steps up.
    """
    shape, length = model.interaction, model.interaction.sequence_length
    if shape.kind == "dot" and model.feature_tables:
        return 2.0 * model.feature_vectors**2 * model.feature_tables[0].dimension
    if shape.kind == "transformer":
        pairs = length * (length + 1) / 2
        return 2.0 * shape.layers * shape.heads * (shape.qk_dimension + shape.value_dimension) * pairs
    if shape.kind == "attention":
        return 2.0 * length * model.step_width
    return 0.0
