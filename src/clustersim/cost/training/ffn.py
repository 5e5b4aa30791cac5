"""The dense feed-forward part of a transformer layer in training, on one GPU."""

from __future__ import annotations

from clustersim.cost.training.block import Part, joined
from clustersim.cost.training.linear import column_linear, row_linear
from clustersim.cost.training.passes import TransformerPass, divided

__all__ = ["activation", "dense_part"]


def dense_part(run: TransformerPass, *, width: int, name: str = "") -> Part:
    """Return both products of an inner width of `width` over the tensor group, and what is between."""
    model = run.model
    inner = divided(width, run.shard.tensor)
    inputs = 2 if model.gated_ffn else 1
    biases = model.bias == "all"
    return joined(
        [
            column_linear(
                run, f"{name}up", n=inputs * inner, k=model.hidden, bias=inputs * inner if biases else 0
            ),
            activation(run, f"{name}activation", elements=run.tokens * inner),
            row_linear(run, f"{name}down", n=model.hidden, k=inner, bias=model.hidden if biases else 0),
        ]
    )


def activation(run: TransformerPass, name: str, *, elements: float) -> Part:
    """Return the activation (gated: with its product), fused with the bias; it keeps its input.

    Backward it reads input and gradient and writes the gradient of the input.
    """
    inputs = 2 if run.model.gated_ffn else 1
    return Part(
        forward=(run.memory(name, (inputs + 1) * elements),),
        backward=(run.memory(f"{name}.backward", (2 * inputs + 1) * elements),),
        kept_bytes=inputs * elements * run.element,
    )
