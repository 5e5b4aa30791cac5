"""What a scenario may say about a training job."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, FileReference, ModelName, SpecModel
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.units import SIZE, TIME, SizeQuantity, TimeQuantity, quantity

__all__ = ["CollectiveSpec", "OverlapSpec", "TrainingParallelismSpec", "TrainingSpec"]


class TrainingParallelismSpec(SpecModel):
    """How the model is laid out over the job's GPUs."""

    data: Annotated[int, Field(ge=1)] | None = None
    """Data-parallel replicas. Default: all GPUs of the job."""


class OverlapSpec(SpecModel):
    """How gradient communication overlaps with the backward pass."""

    gradient_bucket: SizeQuantity = quantity("25 MiB", SIZE)
    """Gradients are all-reduced in buckets of at least this size, as PyTorch DDP does
    (`bucket_cap_mb`, Li et al., VLDB 2020)."""
    enabled: bool = True
    """False: all-reduce begins only after the whole backward pass."""


class CollectiveSpec(SpecModel):
    """How collectives run on the fabric."""

    algorithm: Literal[
        "auto",
        "ring",
        "bidirectional-ring",
        "tree",
        "binomial",
        "recursive-doubling",
        "halving-doubling",
        "rabenseifner",
        "bruck",
        "direct",
        "one-shot",
        "hierarchical",
        "hierarchical-3-level",
        "torus",
        "nvls",
        "nvlstree",
        "sharp",
    ] = "auto"
    """`auto` takes what is fastest alone for the message size among what NCCL has: `ring`, `tree`,
    `nvls` and, where switches add, `sharp`. One of these that does not apply falls back to `ring`;
    any other that does not is an error. docs/collectives.md says which is for which collective."""
    schedule: Annotated[str | None, FileReference()] = None
    """File with an algorithm of one's own: a step list in YAML or JSON, or MSCCL's XML (`.xml`). It is
    for one kind of collective; others run with `auto`."""
    channels: Annotated[int, Field(ge=1)] | None = None
    """Rings, pairs of trees or switch trees side by side. Default: one per rail."""
    chunks: Annotated[int, Field(ge=1)] | None = None
    """Chunks that pipelines (trees, chains, in-network reduction) divide a message into. Default: enough
    that filling them takes no time."""
    fidelity: Literal["macro", "stepwise"] = "macro"
    """`macro`: one fluid flow for the whole collective; `stepwise`: each step's messages
    one by one: slow, the reference that the macro-flow is tested against."""

    @model_validator(mode="after")
    def _one_algorithm(self) -> Self:
        if self.schedule is not None and self.algorithm != "auto":
            raise FieldError("gives an algorithm, and so does 'algorithm'; leave one of them out", "schedule")
        return self


class TrainingSpec(SpecModel):
    """Synchronous data-parallel training of one model."""

    kind: Literal["training"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    model: ModelName
    """Model of the catalogue, or the path of a Hugging Face `config.json`."""
    gpus: Annotated[int, Field(ge=1)]
    """GPUs of the job."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    parallelism: TrainingParallelismSpec = TrainingParallelismSpec()
    """Layout of the model over the GPUs."""
    precision: Literal["fp32", "tf32", "fp16", "bf16"] = "bf16"
    """Arithmetic of matrix products; master weights and optimizer states are fp32."""
    optimizer: Literal["adam", "lamb", "sgd"] = "adam"
    """Decides the optimizer's state per parameter and its memory traffic."""
    micro_batch: Annotated[int, Field(ge=1)]
    """Samples per GPU in one forward-backward pass."""
    global_batch: Annotated[int, Field(ge=1)] | None = None
    """Samples per optimizer step over all GPUs. Default: micro_batch × data replicas.
    More than that is reached by gradient accumulation."""
    sequence: Annotated[int, Field(ge=1)] | None = None
    """Tokens per sample; transformers only. Default: the model's own maximum."""
    recompute: Literal["none", "full"] = "none"
    """`full`: activations of each layer are computed again in the backward pass."""
    attention: Literal["fused", "unfused"] = "fused"
    """`fused`: FlashAttention, no sequence × sequence matrix is stored; `unfused`: matrix
    products, softmax and dropout one by one, as scripts before 2022 did."""
    overlap: OverlapSpec = OverlapSpec()
    """Overlap of gradient communication."""
    collective: CollectiveSpec = CollectiveSpec()
    """Algorithm and fidelity of gradient all-reduce."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    kernel_jitter: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Coefficient of variation of each GPU's compute time per pass (log-normal): the
    collective waits for the slowest GPU."""
    start: TimeQuantity = quantity("0 s", TIME)
    """When the job starts."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps to run. Give `steps` or `duration`."""
    duration: TimeQuantity | None = None
    """Start no new step after this much time from `start`."""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.steps is None and self.duration is None:
            raise ValueError("give 'steps' or 'duration', or the job never ends")
        if self.steps is not None and self.duration is not None:
            raise FieldError("give either 'steps' or 'duration', not both", "duration")
        return self
