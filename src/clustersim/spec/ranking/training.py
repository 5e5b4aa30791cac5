"""What a scenario may say about training a ranking model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.spec.economics import EconomicsSpec
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.ranking.model_name import RankingModelName
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.spec.stragglers import StragglerSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.units import (
    TIME,
    PositiveBandwidthQuantity,
    RateQuantity,
    SizeQuantity,
    TimeQuantity,
    quantity,
)

__all__ = [
    "RankingExchangeSpec",
    "RankingHostSpec",
    "RankingInputSpec",
    "RankingOverlapSpec",
    "RankingTrainingSpec",
]

ExchangePrecision = Literal["fp32", "fp16", "bf16"]


class RankingExchangeSpec(SpecModel):
    """What ranks send each other for each number of embeddings, gradients and indices."""

    forward: ExchangePrecision | None = None
    """Of pooled embeddings on their way to the samples. Default: that of a 16-bit dense part where the
    framework sends them in it, else fp32."""
    backward: ExchangePrecision | None = None
    """Of their gradients on the way back. Default: as `forward`."""
    gradients: ExchangePrecision | None = None
    """Of the dense part's gradients in the all-reduce. Default: fp32, as master weights are."""
    index: Literal[4, 8] | None = None
    """Bytes of one index. Default: the framework's; 8 in TorchRec (int64)."""


class RankingHostSpec(SpecModel):
    """The host beside each GPU: it launches kernel after kernel, ahead of the GPU.

    What is left out is the framework's (`clustersim catalog ranking-frameworks`).
    """

    kernel_launch: TimeQuantity | None = None
    """Of the host for each kernel."""
    step: TimeQuantity | None = None
    """Of the host in each step beside launching kernels: the training loop, its pipeline, metrics."""
    exchange: TimeQuantity | None = None
    """Of the host for each collective: sizes of what is sent, the call itself."""
    fused: bool | None = None
    """Whether biases, activations and the parts of the interaction are parts of other kernels."""
    cuda_graphs: bool | None = None
    """Whether the dense part is replayed as CUDA graphs, with one launch for each."""
    jitter: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Coefficient of variation (log-normal) of the host's time for each part of a step, on each rank."""
    spread: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Coefficient of variation (log-normal) of the hosts' speeds: each rank's factor is drawn once."""


class RankingOverlapSpec(SpecModel):
    """What runs beside what; what is left out is the framework's."""

    input_ahead: Annotated[int, Field(ge=0, le=8)] | None = None
    """Steps before its own in which a batch is copied to the GPU: 2 in TorchRec's TrainPipelineSparseDist."""
    index_exchange: Literal["ahead", "in-step"] | None = None
    """`ahead`: indices of the next batch are exchanged beside the dense part of this one."""
    forward_exchange: bool | None = None
    """Pooled embeddings travel beside the bottom MLP."""
    backward_exchange: bool | None = None
    """Their gradients travel beside the backward pass of the bottom MLP."""
    all_reduce: bool | None = None
    """Gradients of the dense part are summed in buckets beside the rest of the backward pass; false: all
    together when the last of them are there, beside the update of the tables."""
    gradient_bucket: SizeQuantity | None = None
    """Gradients are summed in buckets of at least this size."""


class RankingInputSpec(SpecModel):
    """How samples get from storage through the host to the GPUs."""

    sample: SizeQuantity | None = None
    """Bytes of a sample. Default: 4 for each dense feature and the label, and those of its indices."""
    node_bandwidth: PositiveBandwidthQuantity | None = None
    """What one node reads from storage at the most. Default: no limit."""
    storage_bandwidth: PositiveBandwidthQuantity | None = None
    """What the storage gives to all nodes of the job together. Default: no limit."""
    preprocess_rate: RateQuantity | None = None
    """Samples that the processors of one node decode and transform per second. Default: no limit."""
    prefetch: Annotated[int, Field(ge=1)] = 2
    """Batches of each rank that are read and transformed ahead of their copy to the GPU, at the most."""
    copy_to_gpu: bool = True
    """Batches go over the links between host and GPU; false: they are there (synthetic data)."""


class RankingTrainingSpec(SpecModel):
    """Synchronous training of a ranking model: dense part on every GPU, tables divided among them."""

    kind: Literal["ranking-training"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    model: RankingModelName
    """Ranking model of the catalogue, or the path of a model file."""
    gpus: Annotated[int, Field(ge=1)]
    """GPUs of the job."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    batch: Annotated[int, Field(ge=1)] | None = None
    """Samples of each GPU in a step. Give `batch` or `global_batch`."""
    global_batch: Annotated[int, Field(ge=1)] | None = None
    """Samples of all GPUs in a step."""
    precision: Literal["fp32", "tf32", "fp16", "bf16"] = "fp32"
    """Arithmetic of the dense part; master weights are fp32."""
    embedding_precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Of the rows of embedding tables as they lie in memory."""
    exchange: RankingExchangeSpec = RankingExchangeSpec()
    """Precision of what travels between ranks."""
    optimizer: Literal["adam", "adagrad", "sgd"] = "sgd"
    """Of the dense part."""
    embedding_optimizer: Literal["rowwise-adagrad", "adagrad", "sgd", "adam", "partial-rowwise-adam"] = (
        "rowwise-adagrad"
    )
    """Of the tables; it updates the rows that a step has looked up, in the kernel that sums gradients."""
    sharding: ShardingSpec = ShardingSpec()
    """Which rank has which part of which table."""
    framework: str = "torchrec"
    """Framework of the catalogue: what its host takes, and what it runs beside what."""
    host: RankingHostSpec = RankingHostSpec()
    """Launching of kernels."""
    overlap: RankingOverlapSpec = RankingOverlapSpec()
    """What runs beside what."""
    input: RankingInputSpec = RankingInputSpec()
    """Samples on their way to the GPUs."""
    collective: CollectiveSpec = CollectiveSpec()
    """Algorithm and fidelity of the all-reduce of dense gradients; fidelity of all exchanges."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    stragglers: Annotated[tuple[StragglerSpec, ...], LIST] = ()
    """GPUs and nodes that are slow."""
    kernel_jitter: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Coefficient of variation of each GPU's time for each part of a step (log-normal)."""
    repeat: Literal["auto", "never"] = "auto"
    """`auto`: once steps have become alike, further ones are counted instead of simulated where nothing else
    happens in the world and nothing varies; `never`: each is simulated."""
    economics: EconomicsSpec = EconomicsSpec()
    """The run that these steps are a part of, prices and power."""
    start: TimeQuantity = quantity("0 s", TIME)
    """When the job starts."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps to run. Give `steps` or `duration`."""
    duration: TimeQuantity | None = None
    """Start no new step after this much time from `start`."""

    @property
    def samples_per_step(self) -> int:
        """Samples of all GPUs in a step."""
        return self.global_batch if self.batch is None else self.batch * self.gpus  # type: ignore[return-value]

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.steps is None and self.duration is None:
            raise ValueError("give 'steps' or 'duration', or the job never ends")
        if self.steps is not None and self.duration is not None:
            raise FieldError("give either 'steps' or 'duration', not both", "duration")
        return self

    @model_validator(mode="after")
    def _one_batch(self) -> Self:
        if self.batch is None and self.global_batch is None:
            raise ValueError("give 'batch' (samples per GPU) or 'global_batch'")
        if self.batch is not None and self.global_batch is not None:
            raise FieldError("give either 'batch' or 'global_batch', not both", "global_batch")
        if self.global_batch is not None and self.global_batch < self.gpus:
            raise FieldError(f"has no sample for each of {self.gpus} GPUs", "global_batch")
        return self
