"""The experts of a layer on one GPU of a serving replica whose experts lie on several groups of GPUs."""

from __future__ import annotations

from clustersim.catalog.models import TransformerModel
from clustersim.cost.mixture import experts_visited, feed_forward
from clustersim.cost.operators import Operator, element_bytes, elementwise, expert_gemm
from clustersim.cost.serving.layout import ServingLayout

__all__ = ["expert_operators"]


def expert_operators(
    model: TransformerModel, *, tokens: float, routed: float, precision: str, layout: ServingLayout
) -> list[Operator]:
    """Return router, gather, products of the busiest group's experts, scatter, and shared experts.

    *Equation.* Of T tokens that are routed in a stage, the busiest of e groups gets load·T·k/e copies, for
    the E·(1 − (1 − k/E)^T)/e of its experts that any token visits; each GPU of a group has a part of
    every expert's width.

    Parameters
    ----------
    tokens
        Of the GPU's own data group: what the router and the shared experts see.
    routed
        Of all data groups of the stage.

    **Valid when** experts are visited alike within a group; the busiest group sets the pace of the layer.
    **Checked by:** tests/cost/test_serving_layout.py (one group on one GPU = `mixture.feed_forward`).
    """
    moe = model.moe
    assert moe is not None
    common = [
        operator
        for operator in feed_forward(model, tokens=tokens, precision=precision, tensor=layout.tensor)
        if operator.name.startswith(("moe.router", "moe.shared"))
    ]
    visited = experts_visited(tokens=routed, experts=moe.experts, experts_per_token=moe.experts_per_token)
    copies = layout.expert_load * routed * moe.experts_per_token / layout.expert
    moved = (min(routed, copies) + copies) * model.hidden * element_bytes(precision)
    products = _products(model, copies, visited / layout.expert, precision, layout.expert_tensor)
    return [
        *common,
        elementwise("moe.gather", bytes_moved=moved, precision=precision),
        *products,
        elementwise("moe.scatter", bytes_moved=moved, precision=precision),
    ]


def _products(
    model: TransformerModel, copies: float, groups: float, precision: str, divided_by: int
) -> list[Operator]:
    moe = model.moe
    assert moe is not None
    width = moe.ffn_hidden / divided_by
    matrices = 2 if model.gated_ffn else 1
    activation = (matrices + 1) * copies * width * element_bytes(precision)
    return [
        expert_gemm(
            "moe.up",
            groups=groups,
            m=copies / groups,
            n=matrices * width,
            k=model.hidden,
            precision=precision,
        ),
        elementwise("moe.activation", kind="activation", bytes_moved=activation, precision=precision),
        expert_gemm(
            "moe.down", groups=groups, m=copies / groups, n=model.hidden, k=width, precision=precision
        ),
    ]
