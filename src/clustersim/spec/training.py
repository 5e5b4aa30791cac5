"""What a scenario may say about a training job."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, FileReference, ModelName, SpecModel
from clustersim.spec.economics import EconomicsSpec
from clustersim.spec.host import HostSpec
from clustersim.spec.parallelism import TrainingParallelismSpec
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.reliability import ReliabilitySpec
from clustersim.spec.stragglers import StragglerSpec
from clustersim.spec.techniques import (
    CompressionSpec,
    DataLoadingSpec,
    DistillationSpec,
    LocalStepsSpec,
    LoraSpec,
    OffloadSpec,
)
from clustersim.spec.traffic import TrafficSpec
from clustersim.units import SIZE, TIME, SizeQuantity, TimeQuantity, quantity

__all__ = ["CollectiveSpec", "OverlapSpec", "TrainingSpec"]


class OverlapSpec(SpecModel):
    """Which communication runs beside computation."""

    gradient_bucket: SizeQuantity = quantity("25 MiB", SIZE)
    """Gradients are all-reduced in buckets of at least this size, as PyTorch DDP does
    (`bucket_cap_mb`, Li et al., VLDB 2020)."""
    enabled: bool = True
    """False: gradients are reduced only after the whole backward pass."""
    parameters: bool = True
    """ZeRO 1 and 2: updated parameters are gathered beside the next forward pass; False: before it."""
    prefetch: Annotated[int, Field(ge=0)] = 1
    """ZeRO 3: layers whose parameters are gathered ahead of the one that is computed."""
    tensor: bool = False
    """Tensor parallelism: communication runs in pieces beside the matrix products next to it, as
    Transformer Engine's user buffers do."""
    tensor_backward: bool = True
    """Tensor parallelism: in the backward pass, sums of input gradients and inputs gathered again travel
    beside the products next to them, as in Megatron-LM since 2022 (not in Megatron-DeepSpeed)."""
    expert: bool = False
    """Expert parallelism: dispatch and combine of one micro-batch run beside computation of others."""
    pipeline: bool = True
    """Sends between stages run beside the next pass; False: the sender waits for them."""


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
    """Synchronous training of one model, on any layout."""

    kind: Literal["training"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    model: ModelName
    """Model of the catalogue, or the path of a model file or a Hugging Face `config.json`."""
    gpus: Annotated[int, Field(ge=1)]
    """GPUs of the job."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    parallelism: TrainingParallelismSpec = TrainingParallelismSpec()
    """Layout of the model over the GPUs."""
    precision: Literal["fp32", "tf32", "fp16", "bf16", "fp8"] = "bf16"
    """Arithmetic of matrix products; master weights and optimizer states are fp32. With `fp8` the linear
    layers alone are fp8, all else bf16."""
    gradients: Literal["half", "fp32", "both"] | None = None
    """Mixed precision: gradients are kept and reduced in 2 bytes or in 4; `both` keeps bf16 ones beside those
    in fp32 that they are added to, as DeepSpeed's BF16_Optimizer does (with fp16 as `half`). Default: `half`
    with fp16, `fp32` with bf16 and fp8, as Megatron-LM does unless told otherwise."""
    optimizer: Literal["adam", "adam-8bit", "adafactor", "lamb", "sgd"] = "adam"
    """Decides the optimizer's state per parameter and its memory traffic."""
    micro_batch: Annotated[int, Field(ge=1)]
    """Samples per replica in one forward-backward pass."""
    global_batch: Annotated[int, Field(ge=1)] | None = None
    """Samples per optimizer step over all GPUs. Default: micro_batch × data replicas.
    More than that is reached by gradient accumulation."""
    sequence: Annotated[int, Field(ge=1)] | None = None
    """Tokens per sample; transformers only. Default: the model's own maximum."""
    recompute: Literal["none", "selective", "full"] = "none"
    """`full`: activations of each layer are computed again in the backward pass; `selective`: those of
    attention's inner part only (Korthikanti et al., 2022)."""
    recompute_modules: Annotated[
        tuple[Literal["norms", "expert_activation", "latent_projections", "feed_forward"], ...], LIST
    ] = ()
    """Modules of each layer whose results are computed again where `recompute` is not `full`: Megatron-LM's
    `layernorm`, `moe_act`, `mla_up_proj` and `mlp`."""
    recompute_layers: Annotated[int, Field(ge=1)] | None = None
    """`full` for so many layers of each stage only. Default: all."""
    attention: Literal["fused", "flash-2", "triton", "unfused"] = "fused"
    """`fused`: the best kernel of the GPU that stores no sequence × sequence matrix (cuDNN, FlashAttention-3
    on Hopper); `flash-2`: FlashAttention-2, which is slower from Hopper on; `triton`: the first
    FlashAttention as written in Triton, slower still; `unfused`: matrix products, softmax and dropout one
    by one, as scripts before 2022 did."""
    host: HostSpec = HostSpec()
    """How the host launches kernels, and what that takes."""
    lora: LoraSpec | None = None
    """Fine-tuning with adapters in place of all weights. Default: all weights are trained."""
    compression: CompressionSpec | None = None
    """What replicas send in place of their gradients. Default: the gradients."""
    data_loading: DataLoadingSpec | None = None
    """How samples come from storage. Default: they are always there."""
    distillation: DistillationSpec | None = None
    """Training on the logits of a teacher."""
    local_steps: LocalStepsSpec | None = None
    """Workers that exchange what they have learned only once in a while. Default: all replicas sum their
    gradients in every step."""
    offload: OffloadSpec = OffloadSpec()
    """What is kept in the host's memory."""
    overlap: OverlapSpec = OverlapSpec()
    """Overlap of gradient communication."""
    collective: CollectiveSpec = CollectiveSpec()
    """Algorithm and fidelity of gradient all-reduce."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    fold: Literal["auto", "always", "never"] = "auto"
    """`auto`: replicas that are provably alike are simulated once; `never`: each by itself; `always`:
    once even where their routes differ."""
    repeat: Literal["auto", "never"] = "auto"
    """`auto`: once an iteration has gone through, equal ones are counted instead of simulated where nothing
    else happens in the world and nothing varies; `never`: each is simulated."""
    stragglers: Annotated[tuple[StragglerSpec, ...], LIST] = ()
    """GPUs and nodes that are slow."""
    reliability: ReliabilitySpec | None = None
    """Failures, checkpoints and spare nodes over days, for `clustersim goodput`; a run of the scenario
    itself is without them."""
    kernel_jitter: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Coefficient of variation of each GPU's compute time per pass (log-normal): the
    collective waits for the slowest GPU."""
    gpu_spread: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Coefficient of variation of the GPUs' speeds (log-normal): each GPU's factor is drawn once and kept.
    0.02 to 0.03 where chips of one cluster differ by 8 % (Sinha et al., SC22)."""
    economics: EconomicsSpec = EconomicsSpec()
    """The run that these steps are a part of, prices and power."""
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

    @model_validator(mode="after")
    def _techniques_fit(self) -> Self:
        if self.offload.gradients and self.parallelism.zero < 2:
            message = "are on the GPU until the last micro-batch without ZeRO 2; set 'parallelism.zero' to 2"
            raise FieldError(message, "offload", "gradients")
        if self.compression is not None:
            if self.parallelism.zero:
                message = "is for gradients that all replicas keep; set 'parallelism.zero' to 0"
                raise FieldError(message, "compression")
            if self.offload.optimizer or self.local_steps is not None:
                other = "offload.optimizer" if self.offload.optimizer else "local_steps"
                raise FieldError(f"is not modelled together with '{other}'; leave one out", "compression")
        return self
