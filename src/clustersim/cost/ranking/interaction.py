"""Interactions of features: pairwise products, concatenation, cross layers, products of factors.

**Source:** facebookresearch/dlrm and pytorch/torchrec, torchrec/models/dlrm.py (`InteractionArch`) and
torchrec/modules/crossnet.py (`LowRankCrossNet`) for the kernels of eager PyTorch;
NVIDIA-Merlin/HugeCTR, HugeCTR/src/layers/interaction_layer.cu and multi_cross_layer.cu, and the custom
`dot_based_interact` of NVIDIA/DeepLearningExamples for the fused ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from clustersim.catalog.ranking_layers import LinearLayer, cross_layers
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator, element_bytes, grouped_gemm
from clustersim.cost.ranking import sequence
from clustersim.cost.ranking.mlp import DenseRun, linear_backward, linear_forward

__all__ = ["interaction_backward", "interaction_forward"]

Operators = tuple[Operator, ...]

INDEXING_LAUNCHES = 10
"""Kernels that eager PyTorch launches for the gradient of `x[:, rows, columns]`: two indices wrapped (2) and
scaled by strides (2), their sum (1), divided (1), copied (1), numbered (1) and sorted (1), values added (1).
**Source:** pytorch/pytorch, aten/src/ATen/native/cuda/Indexing.cu, `index_put_accum_kernel`."""

SECTOR_BYTES = 32.0
"""Least that a GPU reads or writes. The kernel that adds the values has a warp for each element of the
triangle, so that each takes a sector (NVIDIA, CUDA C++ Best Practices Guide, "Coalesced Access")."""


def interaction_forward(model: RankingModel, run: DenseRun) -> Operators:
    """Return the kernels from the bottom MLP's result and the pooled embeddings to the top MLP's input."""
    return _FORWARD[model.interaction.kind](model, run)


def interaction_backward(model: RankingModel, run: DenseRun) -> Operators:
    """Return the kernels from the gradient of the top MLP's input to those of both kinds of features."""
    return _BACKWARD[model.interaction.kind](model, run)


def _dot_forward(model: RankingModel, run: DenseRun) -> Operators:
    """All pairs of F vectors of width D: X·Xᵀ of each sample, and the triangle below its diagonal.

    Fused, one kernel reads the vectors and writes the bottom MLP's result and the triangle.
    """
    vectors, pairs = model.feature_vectors, model.interaction_width - model.dense_width
    read, result = float(model.feature_width), float(model.interaction_width)
    if run.fused:
        return (_fused_dot("interaction.dot", model, run, elements=read + result, products=1.0),)
    return (
        run.kernel("interaction.stack", elements=2.0 * read),
        _pair_product("interaction.dot", run, m=vectors, n=vectors, k=_width(model)),
        run.kernel("interaction.triangle", elements=2.0 * pairs),
        run.kernel("interaction.join", elements=2.0 * result),
    )


def _dot_backward(model: RankingModel, run: DenseRun) -> Operators:
    """The gradient of X·Xᵀ is taken for both factors and added up."""
    vectors, pairs = model.feature_vectors, model.interaction_width - model.dense_width
    read, result = float(model.feature_width), float(model.interaction_width)
    if run.fused:
        return (
            _fused_dot("interaction.dot_gradient", model, run, elements=2.0 * read + result, products=2.0),
        )
    square = float(vectors * vectors)
    return (
        run.kernel("interaction.join_gradient", elements=2.0 * result),
        run.kernel("interaction.square_clear", elements=square),
        *_triangle_gradient(run, pairs),
        _pair_product("interaction.left_gradient", run, m=vectors, n=_width(model), k=vectors),
        _pair_product("interaction.right_gradient", run, m=vectors, n=_width(model), k=vectors),
        run.kernel("interaction.sum_gradient", elements=3.0 * read),
        run.kernel("interaction.stack_gradient", elements=2.0 * read),
    )


def _triangle_gradient(run: DenseRun, pairs: int) -> Operators:
    """Prepare the indices, a few hundred numbers for all samples, and add the values at their places."""
    sector = SECTOR_BYTES / element_bytes(run.precision)
    return (
        run.kernel("interaction.indices", elements=0.0, count=INDEXING_LAUNCHES - 1),
        run.kernel("interaction.triangle_gradient", elements=3.0 * pairs * sector),
    )


def _width(model: RankingModel) -> int:
    return model.feature_tables[0].dimension if model.feature_tables else model.dense_width


def _pair_product(name: str, run: DenseRun, *, m: int, n: int, k: int) -> Operator:
    return grouped_gemm(name, groups=run.batch, m=m, n=n, k=k, precision=run.precision)


def _fused_dot(
    name: str, model: RankingModel, run: DenseRun, *, elements: float, products: float
) -> Operator:
    """One kernel bound by what it reads and writes; the square of products stays on the chip."""
    flops = products * 2.0 * model.feature_vectors**2 * _width(model)
    return run.kernel(name, elements=elements, flops=flops)


def _joined(model: RankingModel, run: DenseRun, *, name: str) -> Operators:
    """Copy features one behind the other; fused, they are written there in the first place."""
    if run.fused:
        return ()
    return (run.kernel(f"interaction.{name}", elements=2.0 * model.interaction_width),)


def _concatenation_forward(model: RankingModel, run: DenseRun) -> Operators:
    return _joined(model, run, name="join")


def _concatenation_backward(model: RankingModel, run: DenseRun) -> Operators:
    return _joined(model, run, name="join_gradient")


def _cross_forward(model: RankingModel, run: DenseRun) -> Operators:
    """Per layer its products, then x_0 ∘ (… + b) + x_l in one kernel, or three where not fused."""
    operators = list(_joined(model, run, name="join"))
    width = float(model.feature_width)
    for layer in cross_layers(model):
        operators += linear_forward(run, layer, activation=False)
        if layer.bias and run.fused:
            operators.append(run.kernel(f"{layer.name}.cross", elements=4.0 * width))
        elif layer.bias:
            for name, elements in (("bias", 2.0), ("multiply", 3.0), ("add", 3.0)):
                operators.append(run.kernel(f"{layer.name}.{name}", elements=elements * width))
    return tuple(operators)


def _cross_backward(model: RankingModel, run: DenseRun) -> Operators:
    """Gradients of x_0, of the product and of x_l, in one kernel or five, then those of the products."""
    operators: list[Operator] = []
    for layer in reversed(list(cross_layers(model))):
        if layer.bias:
            operators += _cross_gradients(model, run, layer)
        # The bias gradient is among the kernels above.
        operators += [
            each
            for each in linear_backward(run, layer, activation=False)
            if not each.name.endswith("bias_gradient")
        ]
    return (*operators, *_joined(model, run, name="join_gradient"))


def _cross_gradients(model: RankingModel, run: DenseRun, layer: LinearLayer) -> Operators:
    width = float(model.feature_width)
    if run.fused:
        return (run.kernel(f"{layer.name}.cross_gradient", elements=6.0 * width),)
    kernels = (
        ("product_gradient", 3.0),
        ("bias_gradient", 1.0),
        ("first_gradient", 3.0),
        ("first_sum", 3.0),
        ("residual_sum", 3.0),
    )
    return tuple(run.kernel(f"{layer.name}.{name}", elements=elements * width) for name, elements in kernels)


def _product_forward(model: RankingModel, run: DenseRun) -> Operators:
    """Factors multiplied element by element, beside the other features one behind the other."""
    multiply = run.kernel("interaction.factors", elements=3.0 * model.factor_width)
    return (multiply, *_joined(model, run, name="join"))


def _product_backward(model: RankingModel, run: DenseRun) -> Operators:
    """The gradient goes to each factor times the other: one kernel, or one for each."""
    if run.fused:
        return (run.kernel("interaction.factors_gradient", elements=5.0 * model.factor_width),)
    each = run.kernel("interaction.factors_gradient", elements=3.0 * model.factor_width, count=2)
    return (each, *_joined(model, run, name="join_gradient"))


_Pass = Callable[[RankingModel, DenseRun], Operators]
_FORWARD: Mapping[str, _Pass] = MappingProxyType(
    {
        "dot": _dot_forward,
        "concatenation": _concatenation_forward,
        "dcn-v2": _cross_forward,
        "product": _product_forward,
        "transformer": sequence.hstu_forward,
        "attention": sequence.attention_forward,
        "attention-gru": sequence.recurrent_forward,
    }
)
_BACKWARD: Mapping[str, _Pass] = MappingProxyType(
    {
        "dot": _dot_backward,
        "concatenation": _concatenation_backward,
        "dcn-v2": _cross_backward,
        "product": _product_backward,
        "transformer": sequence.hstu_backward,
        "attention": sequence.attention_backward,
        "attention-gru": sequence.recurrent_backward,
    }
)
