"""The unit of a training cost: a block of a network as operators, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.cost.operators import GemmShape, Operator, grouped_gemm

__all__ = ["Block", "gradient_products"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a network whose gradients become ready together.

    Parameters
    ----------
    layer
        Number of the layer that it is part of; recomputation works on whole layers. None
        for a block that is never recomputed.
    forward, backward
        Operators of one pass over one micro-batch.
    forward_flops
        Of its matrix products, attention counted over all pairs of tokens.
    activation_bytes
        What the forward pass keeps for the backward pass.
    checkpoint_bytes
        What it keeps where its layer is recomputed.
    """

    name: str
    layer: int | None
    parameters: int
    forward: Sequence[Operator]
    backward: Sequence[Operator]
    forward_flops: float
    activation_bytes: float
    checkpoint_bytes: float = 0.0


def gradient_products(forward: Operator) -> tuple[Operator, Operator]:
    """Return the two products in the backward pass of C = A·B (m×k by k×n).

    *Equation.* dA = dC·Bᵀ is m×n by n×k; dB = Aᵀ·dC is k×m by m×n: each has the FLOPs of C.
    """
    shape = forward.shape
    if not isinstance(shape, GemmShape):
        raise TypeError(f"{forward.name} is no matrix product")
    m, n, k, groups = shape.m, shape.n, shape.k, shape.groups
    return (
        grouped_gemm(
            f"{forward.name}.input_gradient", groups=groups, m=m, n=k, k=n, precision=forward.precision
        ),
        grouped_gemm(
            f"{forward.name}.weight_gradient", groups=groups, m=k, n=n, k=m, precision=forward.precision
        ),
    )
