"""Operators of a mixture-of-experts feed-forward part."""

from __future__ import annotations

from clustersim.catalog.models import TransformerModel
from clustersim.cost.operators import Operator, element_bytes, elementwise, expert_gemm, gemm

__all__ = ["experts_visited", "feed_forward"]


def experts_visited(*, tokens: float, experts: int, experts_per_token: int) -> float:
    """Return how many experts a batch of tokens visits, on average, under uniform routing.

    *Equation:* E·(1 − (1 − k/E)^T).
    **Valid when** routing is balanced; skewed routing visits fewer.
    """
    missed: float = (1.0 - experts_per_token / experts) ** tokens
    return experts * (1.0 - missed)


def feed_forward(model: TransformerModel, *, tokens: float, precision: str, tensor: int) -> list[Operator]:
    """Return router, token gather, expert products and scatter of one layer on one GPU.

    The width of every expert is divided over the tensor-parallel group. Each expert visited
    gets an equal share of the T·k token copies.

    **Valid when** routing is balanced and experts are not spread over GPUs (no expert
    parallelism).
    """
    moe = model.moe
    assert moe is not None
    size = element_bytes(precision)
    copies = tokens * moe.experts_per_token
    groups = experts_visited(tokens=tokens, experts=moe.experts, experts_per_token=moe.experts_per_token)
    width = moe.ffn_hidden / tensor
    matrices = 2 if model.gated_ffn else 1
    rows = copies / groups
    moved = (tokens + copies) * model.hidden * size
    operators = [
        gemm("moe.router", m=tokens, n=moe.experts, k=model.hidden, precision=precision),
        elementwise("moe.gather", bytes_moved=moved, precision=precision),
        expert_gemm("moe.up", groups=groups, m=rows, n=matrices * width, k=model.hidden, precision=precision),
        elementwise(
            "moe.activation",
            kind="activation",
            bytes_moved=(matrices + 1) * copies * width * size,
            precision=precision,
        ),
        expert_gemm("moe.down", groups=groups, m=rows, n=model.hidden, k=width, precision=precision),
        elementwise("moe.scatter", bytes_moved=moved, precision=precision),
    ]
    return operators + _shared(model, tokens, precision, moe.shared_experts * width)


def _shared(model: TransformerModel, tokens: float, precision: str, width: float) -> list[Operator]:
    if not width:
        return []
    matrices = 2 if model.gated_ffn else 1
    activation = (matrices + 1) * tokens * width * element_bytes(precision)
    return [
        gemm("moe.shared.up", m=tokens, n=matrices * width, k=model.hidden, precision=precision),
        elementwise("moe.shared.activation", kind="activation", bytes_moved=activation, precision=precision),
        gemm("moe.shared.down", m=tokens, n=model.hidden, k=width, precision=precision),
    ]
