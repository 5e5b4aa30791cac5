"""Whether a layout's numbers divide: the sizes of its dimensions, and the model's shape by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError, Problem
from clustersim.spec.parallelism import TrainingParallelismSpec
from clustersim.spec.training import TrainingSpec

if TYPE_CHECKING:
    from clustersim.workloads.training.layout import Layout

__all__ = ["Sizes", "check_model", "micro_batches", "nearest_divisors", "nearest_multiples", "worker_sizes"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many ranks each dimension has; `shard` counts the replicas that divide what ZeRO divides."""

    tensor: int
    context: int
    data: int
    pipeline: int
    expert: int
    expert_tensor: int
    shard: int

    @property
    def expert_data(self) -> int:
        """Ranks of a stage that hold the same experts."""
        return self.data * self.context * self.tensor // (self.expert * self.expert_tensor)

    @property
    def expert_shard(self) -> int:
        """Those of them within the replicas that divide what ZeRO divides."""
        return max(1, self.expert_data * self.shard // self.data)

    @classmethod
    def of(cls, spec: TrainingParallelismSpec, *, gpus: int) -> Sizes:
        """Fill in what the spec leaves open.

        Raises
        ------
        InputError
            With the field that does not divide and the nearest values that do.
        """
        data = _replicas(spec, gpus)
        expert_tensor = spec.tensor if spec.expert_tensor is None else spec.expert_tensor
        _check_experts(spec, expert_tensor, stage_ranks=gpus // spec.pipeline)
        return cls(
            tensor=spec.tensor,
            context=spec.context,
            data=data,
            pipeline=spec.pipeline,
            expert=spec.expert,
            expert_tensor=expert_tensor,
            shard=_sharding_replicas(spec, expert_tensor, data),
        )


def _replicas(spec: TrainingParallelismSpec, gpus: int) -> int:
    left = gpus
    for name in ("tensor", "context", "pipeline"):
        size = getattr(spec, name)
        if left % size:
            rest = (
                f"{gpus} GPUs" if left == gpus else f"the {left} that other dimensions leave of {gpus} GPUs"
            )
            raise _refused(name, f"{size} does not divide {rest}", nearest_divisors(left, size))
        left //= size
    if spec.data is not None and spec.data != left:
        made = f"tensor {spec.tensor} × context {spec.context} × pipeline {spec.pipeline} × data {spec.data}"
        product = gpus // left * spec.data
        message = f"{made} = {product} ranks, the job has {gpus} GPUs; leave 'data' out, or set it to {left}"
        raise InputError(Problem(("parallelism", "data"), message))
    return left


def worker_sizes(sizes: Sizes, spec: TrainingSpec) -> Sizes:
    """Return the sizes with a worker of sparse synchronisation as the replicas that divide ZeRO's states.

    Raises
    ------
    InputError
        Where workers do not divide the replicas, or contradict `parallelism.shard`.
    """
    if spec.local_steps is None:
        return sizes
    path = ("local_steps", "workers")
    workers = sizes.data if spec.local_steps.workers is None else spec.local_steps.workers
    if sizes.data % workers:
        nearest = _nearest(nearest_divisors(sizes.data, workers))
        raise InputError(Problem(path, f"{workers} do not divide the {sizes.data} replicas; {nearest}"))
    if workers < 2:
        raise InputError(Problem(path, f"{sizes.data} replica has nobody to exchange with"))
    shard = sizes.data // workers
    if spec.parallelism.shard not in (None, shard):
        message = f"of {shard} replicas each; 'parallelism.shard' says {spec.parallelism.shard}"
        raise InputError(Problem(path, f"{message}: leave it out, or set it to {shard}"))
    return replace(sizes, shard=shard)


def _check_experts(spec: TrainingParallelismSpec, expert_tensor: int, *, stage_ranks: int) -> None:
    if stage_ranks % expert_tensor:
        message = f"{expert_tensor} does not divide the {stage_ranks} ranks of a stage"
        raise _refused("expert_tensor", message, nearest_divisors(stage_ranks, expert_tensor))
    if stage_ranks // expert_tensor % spec.expert:
        message = (
            f"{spec.expert} groups of {expert_tensor} GPUs do not divide the {stage_ranks} ranks of a stage"
        )
        raise _refused("expert", message, nearest_divisors(stage_ranks // expert_tensor, spec.expert))


def _sharding_replicas(spec: TrainingParallelismSpec, expert_tensor: int, data: int) -> int:
    if spec.shard is None:
        return data
    if spec.zero == 0:
        message = "nothing is divided among replicas with 'zero: 0'; set 'zero', or leave 'shard' out"
        raise InputError(Problem(("parallelism", "shard"), message))
    if data % spec.shard:
        message = f"{spec.shard} replicas do not divide the {data} there are"
        raise _refused("shard", message, nearest_divisors(data, spec.shard))
    sharing, holding = spec.shard * spec.context * spec.tensor, spec.expert * expert_tensor
    if sharing > holding and sharing % holding:
        message = (
            f"the {sharing} ranks of {spec.shard} replicas are no multiple of the {holding} ranks that "
            "hold the experts of a layer once"
        )
        raise InputError(Problem(("parallelism", "shard"), message))
    return spec.shard


def check_model(
    layout: Layout, model: TransformerModel | LayerTableModel, *, sequence: int | None = None
) -> None:
    """Refuse a layout whose sizes do not divide the model's.

    Raises
    ------
    InputError
        With every field that does not divide, and the nearest values that do.

    **Valid when** keys and values are repeated on the GPUs of a tensor group that is larger than their
    heads, as Megatron-LM does; the vocabulary is padded, so any size divides it.
    """
    if isinstance(model, LayerTableModel):
        found = list(_table_problems(layout))
    else:
        tokens = model.max_sequence if sequence is None else sequence
        found = [*_problems(layout, model), *_sequence_problems(layout, model, tokens)]
    if found:
        raise InputError(found)


def _table_problems(layout: Layout) -> Iterator[Problem]:
    for name in ("tensor", "context", "expert"):
        if getattr(layout, name) > 1:
            message = "divides layers of transformers; a layer table can be divided by data and pipeline"
            yield Problem(("parallelism", name), message)


def _problems(layout: Layout, model: TransformerModel) -> Iterator[Problem]:
    tensor = layout.tensor
    yield from _indivisible("tensor", tensor, model.heads, f"{model.heads} heads of {model.name}")
    if model.mla is None and model.kv_heads % tensor and tensor % model.kv_heads:
        message = (
            f"{tensor} and the {model.kv_heads} key-value heads of {model.name}: neither divides the other"
        )
        yield Problem(("parallelism", "tensor"), message)
    yield from _indivisible(
        "tensor", tensor, model.ffn_hidden, f"ffn_hidden {model.ffn_hidden} of {model.name}"
    )
    if model.moe is not None:
        width = model.moe.ffn_hidden
        experts = f"{model.moe.experts} experts of {model.name}"
        yield from _indivisible("expert", layout.expert, model.moe.experts, experts)
        yield from _indivisible("expert_tensor", layout.expert_tensor, width, f"width {width} of an expert")
    elif layout.expert > 1:
        yield Problem(("parallelism", "expert"), f"{model.name} has no experts; leave 'expert' out")


def _sequence_problems(layout: Layout, model: TransformerModel, sequence: int) -> Iterator[Problem]:
    """A causal sequence is divided in twice as many parts as the context group has GPUs, two for each.

    So all have as much to do (Megatron-LM).
    """
    halves = 2 if layout.context > 1 and model.causal else 1
    tensor = layout.tensor if layout.shard.divides_sequence else 1
    parts = halves * layout.context * tensor
    if sequence % parts:
        nearest = _nearest(nearest_multiples(parts, sequence))
        message = f"{sequence} tokens do not divide in {parts} parts; {nearest}"
        message += "; or set 'parallelism.sequence' to false" if tensor > 1 else ""
        yield Problem(("sequence",), message)


def _indivisible(name: str, size: int, number: int, what: str) -> Iterator[Problem]:
    if number % size:
        message = f"{size} does not divide {what}; {_nearest(nearest_divisors(number, size))}"
        yield Problem(("parallelism", name), message)


def micro_batches(spec: TrainingSpec, *, data: int) -> int:
    """Return the micro-batches of one of so many replicas in an iteration.

    Raises
    ------
    InputError
        If the global batch is no multiple of micro-batch times replicas.
    """
    together = spec.micro_batch * data
    global_batch = together if spec.global_batch is None else spec.global_batch
    if global_batch % together:
        product = f"micro_batch × data = {spec.micro_batch} × {data} = {together}"
        message = f"{global_batch} is not a multiple of {product}"
        nearest = _nearest(nearest_multiples(together, global_batch))
        raise InputError(Problem(("global_batch",), f"{message}; {nearest}"))
    return global_batch // together


def nearest_divisors(number: int, value: int) -> tuple[int, ...]:
    """Return the largest divisor of `number` below `value` and the smallest above it, where there are."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    below = [d for d in divisors if d < value][-1:]
    return (*below, *[d for d in divisors if d > value][:1])


def nearest_multiples(factor: int, value: int) -> tuple[int, ...]:
    """Return the largest multiple of `factor` below `value` and the smallest above it."""
    below = value - value % factor
    return (below, below + factor) if below else (factor,)


def _refused(name: str, message: str, nearest: Sequence[int]) -> InputError:
    return InputError(Problem(("parallelism", name), f"{message}; {_nearest(nearest)}"))


def _nearest(values: Sequence[int]) -> str:
    return "the nearest that divide: " + " or ".join(map(str, values))
