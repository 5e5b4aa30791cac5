"""The unit of a training cost: a block of a network as operators, forward and backward."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import reduce

from clustersim.cost.operators import GemmShape, Operator, grouped_gemm
from clustersim.cost.training.shard import Dimension

__all__ = ["Block", "Exchange", "Operators", "Part", "gradient_products", "joined", "repeated", "replayed"]

Operators = tuple[Operator, ...]


@dataclass(frozen=True)
class Exchange:
    """A collective of a block and the operators that it can run beside.

    Parameters
    ----------
    beside
        Where the framework overlaps communication in pieces.
    asynchronous
        In any case; part of `beside`.
    beside_weights
        Whether they are gradients of weights.
    """

    dimension: Dimension
    collective: str
    size_bytes: float
    beside: Operators = ()
    asynchronous: Operators = ()
    beside_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some kernels of a block on one GPU, with what they keep, hold and say.

    Parameters
    ----------
    forward, backward, weight
        Operators of one pass over one micro-batch: forward, backward but for the gradients of
        weights, and these.
    kept_bytes
        What the forward pass keeps for the backward pass.
    parameters, frozen_parameters
        Trained and not trained, on this GPU.
    flops
        Of its matrix products in the forward pass.
    exchanges, exchanges_backward
        In the order of the pass.
    again, again_bytes
        Kernels of the forward pass that the backward pass repeats, and what they bring back, which is not in
        `kept_bytes`.
    waits
        Times that the host waits for a result of the forward pass before it goes on.
    """

    forward: Operators = ()
    backward: Operators = ()
    weight: Operators = ()
    kept_bytes: float = 0.0
    parameters: int = 0
    frozen_parameters: int = 0
    flops: float = 0.0
    exchanges: tuple[Exchange, ...] = ()
    exchanges_backward: tuple[Exchange, ...] = ()
    again: Operators = ()
    again_bytes: float = 0.0
    waits: int = 0

    def __add__(self, after: Part) -> Part:
        """Return both, `after` behind this one; the backward pass goes the other way."""
        return Part(
            forward=self.forward + after.forward,
            backward=after.backward + self.backward,
            weight=after.weight + self.weight,
            kept_bytes=self.kept_bytes + after.kept_bytes,
            parameters=self.parameters + after.parameters,
            frozen_parameters=self.frozen_parameters + after.frozen_parameters,
            flops=self.flops + after.flops,
            exchanges=self.exchanges + after.exchanges,
            exchanges_backward=after.exchanges_backward + self.exchanges_backward,
            again=self.again + after.again,
            again_bytes=self.again_bytes + after.again_bytes,
            waits=self.waits + after.waits,
        )


def repeated(part: Part, again: Operators, dropped_bytes: float) -> Part:
    """Return a part that keeps so much less, and repeats kernels backward to have it again."""
    return replace(
        part,
        kept_bytes=part.kept_bytes - dropped_bytes,
        again=part.again + again,
        again_bytes=part.again_bytes + dropped_bytes,
    )


def replayed(part: Part) -> Part:
    """Return a part whose kernels are in a CUDA graph: the host launches none of them, and never waits."""

    def launched(operators: Operators) -> Operators:
        return tuple(replace(operator, launches=0.0) for operator in operators)

    return replace(
        part,
        forward=launched(part.forward),
        backward=launched(part.backward),
        weight=launched(part.weight),
        again=launched(part.again),
        waits=0,
    )


def joined(parts: Iterable[Part]) -> Part:
    """Return all parts as one, in the order of the forward pass."""
    return reduce(Part.__add__, parts, Part())


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a network whose gradients become ready together.

    Parameters
    ----------
    layer
        Number of the layer that it is part of; recomputation works on whole layers. None
        for a block that is never recomputed.
    part
        Its kernels; `part.parameters` without those of experts.
    parameters_of_model
        Of the undivided block.
    expert_parameters
        Of routed experts on this GPU.
    shared_parameters
        Weights on this GPU that are those of another block, where that is on the same GPU.
    pairs
        The part of it that selective recomputation repeats and does not keep: attention between
        queries and keys.
    pair_flops
        Forward FLOPs over all pairs of tokens, apart from `part.flops`.
    checkpoint_bytes
        What it keeps where its layer is recomputed.
    tail
        Kernels at the end of its layer's forward pass whose results the backward pass does not need.
    output_bytes
        Its result, as this GPU would send it to the next pipeline stage.
    """

    name: str
    layer: int | None
    part: Part
    parameters_of_model: int
    expert_parameters: int = 0
    shared_parameters: int = 0
    pairs: Part = field(default_factory=Part)
    pair_flops: float = 0.0
    checkpoint_bytes: float = 0.0
    tail: int = 0
    output_bytes: float = 0.0

    @property
    def activation_bytes(self) -> float:
        """What the forward pass keeps for the backward pass."""
        return self.part.kept_bytes

    @property
    def forward_flops(self) -> float:
        """Of its matrix products, attention counted over all pairs of tokens."""
        return self.part.flops + self.pair_flops


def gradient_products(forward: Operator) -> tuple[Operator, Operator]:
    """Return the two products in the backward pass of C = A·B (m×k by k×n).

    *Equation.* dA = dC·Bᵀ is m×n by n×k; dB = Aᵀ·dC is k×m by m×n: each has the FLOPs of C, and
    their matrices lie in memory as those of C: rows of n or k elements.
    """
    shape = forward.shape
    if not isinstance(shape, GemmShape):
        raise TypeError(f"{forward.name} is no matrix product")
    m, n, k, groups = shape.m, shape.n, shape.k, shape.groups
    names = f"{forward.name}.input_gradient", f"{forward.name}.weight_gradient"
    first, second = (
        grouped_gemm(name, groups=groups, m=m, n=n, k=k, precision=forward.precision)
        for name, (m, n, k) in zip(names, ((m, k, n), (k, n, m)), strict=True)
    )
    return _lying_as(first, shape), _lying_as(second, shape)


def _lying_as(product: Operator, forward: GemmShape) -> Operator:
    assert isinstance(product.shape, GemmShape)
    return replace(product, shape=replace(product.shape, alignment_bytes=forward.alignment_bytes))
