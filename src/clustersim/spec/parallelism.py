"""How a training job lays its model out over its GPUs."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel

__all__ = ["DIMENSIONS", "TrainingParallelismSpec"]

DIMENSIONS: Final = ("tensor", "context", "data", "pipeline")
"""What ranks are numbered by, from the one that changes fastest: the order of Megatron-LM."""

_Count = Annotated[int, Field(ge=1)]


class TrainingParallelismSpec(SpecModel):
    """How the model is laid out over the job's GPUs: tensor × context × data × pipeline of them."""

    data: _Count | None = None
    """Data-parallel replicas. Default: what the other dimensions leave of the job's GPUs."""
    tensor: _Count = 1
    """GPUs that share every layer: heads and the inner width of the feed-forward part are divided."""
    sequence: bool | None = None
    """Sequence parallelism of Megatron-LM: what tensor parallelism does not divide is divided along the
    sequence, and all-reduces become reduce-scatters and all-gathers. Default: with `tensor` above 1."""
    pipeline: _Count = 1
    """Stages that the layers are divided into."""
    virtual_stages: _Count = 1
    """Chunks of layers per stage, for schedules that interleave them."""
    schedule: Literal["gpipe", "1f1b", "interleaved", "zero-bubble"] | None = None
    """Order of forward and backward passes on the stages. Default: `1f1b`, or `interleaved` with more
    than one virtual stage."""
    layers_per_stage: Annotated[tuple[_Count, ...], LIST, Field(min_length=1)] | None = None
    """Layers of each chunk, in the order of the model. Default: as even as can be."""
    context: _Count = 1
    """GPUs that share every sequence."""
    context_exchange: Literal["ring", "all-gather"] = "ring"
    """How keys and values get to the others of a context group: passed on around a ring while attention
    is computed, or gathered before."""
    expert: _Count = 1
    """Groups of `expert_tensor` GPUs that the experts of every layer are divided over; they are taken from
    the tensor, context and data groups of a stage."""
    expert_tensor: _Count | None = None
    """GPUs that share each expert. Default: `tensor`."""
    expert_dispatch: Literal["all-to-all", "deduplicated"] = "all-to-all"
    """How tokens get to their experts: `all-to-all` sends every copy; `deduplicated` a token at most once
    to each node and, inside, to each GPU, as DeepEP and HybridEP do."""
    expert_load: Annotated[float, Field(ge=1.0)] = 1.0
    """Tokens of the busiest group of experts over the mean; 1 is balanced."""
    capacity_factor: Annotated[float, Field(gt=0.0)] | None = None
    """Tokens that an expert takes at most, over its balanced share; what is above is dropped. Default: all
    that come."""
    zero: Literal[0, 1, 2, 3] = 0
    """What data-parallel replicas divide among them: 1 the optimizer's states, 2 gradients too, 3
    parameters too (FSDP)."""
    shard: _Count | None = None
    """Replicas that divide what `zero` says; beyond them it is repeated (hybrid sharding). Default: all."""
    order: Annotated[
        tuple[Literal["tensor", "context", "data", "pipeline"], ...],
        LIST,
        Field(min_length=4, max_length=4),
    ] = DIMENSIONS
    """What ranks are numbered by, the one that changes fastest first. Experts are divided over ranks of a
    stage that follow each other in this order."""
    mapping: Annotated[tuple[Annotated[int, Field(ge=0)], ...], LIST] | None = None
    """Rank r runs on the job's GPU number `mapping[r]`. Default: rank r on GPU r."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sorted(self.order) != sorted(DIMENSIONS):
            raise FieldError(f"has to name each of {', '.join(DIMENSIONS)} once", "order")
        if self.virtual_stages > 1 and self.schedule not in (None, "interleaved"):
            raise FieldError(f"are for the interleaved schedule, not for '{self.schedule}'", "virtual_stages")
        if self.schedule is not None and self.schedule != "1f1b" and self.pipeline == 1:
            raise FieldError("orders the passes of several stages; set 'pipeline' to 2 or more", "schedule")
        return self

    @property
    def chosen_schedule(self) -> str:
        """The schedule, or its default."""
        return self.schedule or ("interleaved" if self.virtual_stages > 1 else "1f1b")

    @property
    def divides_sequence(self) -> bool:
        """Whether sequence parallelism is on."""
        return self.tensor > 1 if self.sequence is None else self.sequence and self.tensor > 1
