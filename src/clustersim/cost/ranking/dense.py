"""The dense part of a ranking model as kernels: bottom MLP, interaction, top MLP and heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from clustersim.catalog.ranking_layers import LinearLayer, Part, linear_layers
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator
from clustersim.cost.ranking.interaction import interaction_backward, interaction_forward
from clustersim.cost.ranking.mlp import DenseRun, stack_backward, stack_forward

__all__ = ["DensePass", "dense_backward", "dense_forward"]

Operators = tuple[Operator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DensePass:
    """The kernels of one pass, each part in the order in which they run.

    Forward, the bottom MLP and the look-ups need nothing of each other; backward, the top comes
    first, and the gradients of the embeddings are ready after the interaction, before the bottom MLP's.
    """

    bottom: Operators
    interaction: Operators
    top: Operators
    """Top MLP and heads; backward with the loss."""

    @property
    def operators(self) -> Operators:
        """All kernels."""
        return (*self.bottom, *self.interaction, *self.top)

    @property
    def launches(self) -> float:
        """Kernels that the host launches."""
        return sum(operator.count * operator.launches for operator in self.operators)

    @property
    def flops(self) -> float:
        """Operations of all kernels."""
        return sum(operator.count * operator.flops for operator in self.operators)

    @property
    def bytes_moved(self) -> float:
        """Bytes through device memory."""
        return sum(operator.count * operator.bytes_moved for operator in self.operators)


def dense_forward(
    model: RankingModel,
    *,
    batch: float,
    precision: str,
    fused: bool = True,
    queries: float | None = None,
    interaction_precision: str | None = None,
    fused_interaction: bool | None = None,
) -> DensePass:
    """Return the kernels of the forward pass of the dense part, the embeddings being there.

    Parameters
    ----------
    batch
        Samples; in serving, candidates of all queries of the batch.
    precision
        Of products and of what lies between them; see `clustersim.cost.operators.ELEMENT_BYTES`.
    fused
        Bias, activation and the like are in the epilogues of products, as in HugeCTR, TensorRT or compiled
        PyTorch. False: eager PyTorch, with a kernel for each.
    queries
        Distinct users among the samples; their histories go through a `transformer` once. None: each sample
        is a user of its own.
    interaction_precision, fused_interaction
        Where they are not `precision` and `fused`: TensorFlow, for one, has been run with linear layers of
        its own and a fused interaction of NVIDIA's.

    *Equation:* products 2·batch·inputs·outputs FLOPs each; other kernels as bytes read and written.
    Small kernels are not merged in count: `DensePass.launches` is what the host has to launch.

    **Valid when** activations are simple functions of one element (ReLU, sigmoid, SiLU).
    **Checked by:** tests/cost/ranking/test_dense.py.
    """
    users = batch if queries is None else min(queries, batch)
    run = DenseRun(batch=batch, queries=users, precision=precision, fused=fused)
    inner = _inner(run, interaction_precision, fused_interaction)
    layers = _by_part(model)
    top = stack_forward(run, layers["top"])
    joined = () if run.fused or not model.factor_width else (_factor_join(model, run),)
    return DensePass(
        bottom=stack_forward(run, layers["bottom"]),
        interaction=interaction_forward(model, inner),
        top=(*top, *joined, *stack_forward(run, layers["heads"])),
    )


def dense_backward(
    model: RankingModel,
    *,
    batch: float,
    precision: str,
    fused: bool = True,
    interaction_precision: str | None = None,
    fused_interaction: bool | None = None,
) -> DensePass:
    """Return the kernels of the loss and of the backward pass; parameters as of `dense_forward`.

    *Equation:* each layer has a product for the gradient of its inputs and one for that of its weights;
    the first of the bottom MLP has no use for the former. Updating the weights is not included.

    **Checked by:** tests/cost/ranking/test_dense.py.
    """
    run = DenseRun(batch=batch, queries=batch, precision=precision, fused=fused)
    inner = _inner(run, interaction_precision, fused_interaction)
    layers = _by_part(model)
    joined = () if run.fused or not model.factor_width else (_factor_join(model, run),)
    heads = [each for _, head in _heads(layers["heads"]) for each in stack_backward(run, head)]
    return DensePass(
        top=(*_loss(model, run), *heads, *joined, *stack_backward(run, layers["top"])),
        interaction=interaction_backward(model, inner),
        bottom=stack_backward(run, layers["bottom"], input_gradient=False),
    )


def _inner(run: DenseRun, precision: str | None, fused: bool | None) -> DenseRun:
    """Return what the interaction's kernels have in common."""
    return replace(run, precision=precision or run.precision, fused=run.fused if fused is None else fused)


def _by_part(model: RankingModel) -> dict[Part, list[LinearLayer]]:
    parts: dict[Part, list[LinearLayer]] = {"bottom": [], "interaction": [], "top": [], "heads": []}
    for layer in linear_layers(model):
        parts[layer.part].append(layer)
    return parts


def _heads(layers: list[LinearLayer]) -> Iterator[tuple[str, list[LinearLayer]]]:
    """Yield the layers of each head."""
    for task, head in groupby(layers, key=lambda layer: layer.name.split(".")[1]):
        yield task, list(head)


def _factor_join(model: RankingModel, run: DenseRun) -> Operator:
    """The product of factors beside the top MLP's result, or the gradient of that."""
    top = model.top_mlp[-1] if model.top_mlp else model.interaction_width
    return run.kernel("heads.join", elements=2.0 * (top + model.factor_width))


def _outputs(model: RankingModel) -> float:
    return float(model.tasks * model.task_mlp[-1] if model.task_mlp else model.top_mlp[-1])


def _loss(model: RankingModel, run: DenseRun) -> Operators:
    """Loss and its gradient: one kernel; in eager PyTorch the loss, its mean, and a gradient of each."""
    elements = 3.0 * _outputs(model)
    if run.fused:
        return (run.kernel("loss", elements=elements),)
    return (run.kernel("loss", elements=elements, count=4),)
