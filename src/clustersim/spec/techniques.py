"""What a training job may do beside plain training: adapters, offload, fed data, fewer bytes and sums."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, ModelName, SpecModel
from clustersim.units import TIME, BandwidthQuantity, SizeQuantity, TimeQuantity, quantity

__all__ = [
    "CompressionSpec",
    "DataLoadingSpec",
    "DistillationSpec",
    "LocalStepsSpec",
    "LoraSpec",
    "OffloadSpec",
]


class LoraSpec(SpecModel):
    """Fine-tuning with low-rank adapters: the model's own weights are frozen."""

    rank: Annotated[int, Field(ge=1)] = 16
    """Inner width of each adapter."""
    targets: Annotated[tuple[str, ...], LIST, Field(min_length=1)] = ("qkv", "projection", "up", "down")
    """Layers that have one: `qkv`, `projection`, `up`, `down` as Megatron-Bridge has them, with one adapter
    for what is fused, or `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj` as
    PEFT has them."""


class OffloadSpec(SpecModel):
    """What is kept in the host's memory; it goes over the links between GPUs and host."""

    optimizer: bool = False
    """Master weights and the optimizer's states are the host's, which updates them (ZeRO-Offload): gradients
    go down, updated weights come up."""
    gradients: bool = False
    """Gradients too: they go down after every micro-batch and are added up by the host. Needs `optimizer`."""
    activation_layers: Annotated[int, Field(ge=0)] = 0
    """Activations of so many layers of each chunk, the first ones, go down in the forward pass and come up in
    the backward pass."""
    update_rate: Annotated[float, Field(gt=0.0)] | None = None
    """Parameters that the processors of one node update per second. Default: that of DeepSpeed's CPU Adam
    on two Xeon Platinum 8168."""

    @model_validator(mode="after")
    def _needs_the_optimizer(self) -> Self:
        if self.gradients and not self.optimizer:
            raise FieldError("go to the host to be used there; set 'optimizer' to true too", "gradients")
        return self


class DataLoadingSpec(SpecModel):
    """How samples get from storage to the GPUs; a replica waits for the next micro-batch if it is late."""

    sample: SizeQuantity
    """Bytes of a sample in storage."""
    node_bandwidth: BandwidthQuantity | None = None
    """What one node reads at the most. Default: no limit."""
    storage_bandwidth: BandwidthQuantity | None = None
    """What the storage gives to all nodes of the job together. Default: no limit."""
    decode: TimeQuantity = quantity("0 s", TIME)
    """Processor time for decoding and augmenting one sample."""
    workers: Annotated[int, Field(ge=1)] = 4
    """Processes of each replica that decode, each a sample at a time."""
    prefetch: Annotated[int, Field(ge=1)] = 2
    """Micro-batches that are read and decoded ahead, at the most."""


class LocalStepsSpec(SpecModel):
    """Sparse synchronisation (local SGD, DiLoCo): workers take steps of their own, then average."""

    every: Annotated[int, Field(ge=1)]
    """Steps from one exchange to the next."""
    workers: Annotated[int, Field(ge=2)] | None = None
    """Groups of replicas that take steps together, with gradients summed in each step, and exchange what they
    have learned with the other groups. Default: each replica is a worker."""
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    """Of the differences of parameters that workers exchange."""


class CompressionSpec(SpecModel):
    """What replicas send in place of their gradients."""

    method: Literal["fp16", "int8", "top-k", "powersgd"]
    """`fp16` and `int8`: fewer bits; `top-k`: the largest alone, gathered in place of reduced; `powersgd`:
    two factors of low rank."""
    density: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    """`top-k`: part of the gradients that is sent."""
    rank: Annotated[int, Field(ge=1)] = 4
    """`powersgd`: columns of each factor."""


class DistillationSpec(SpecModel):
    """Training on the logits of another model: the teacher's forward pass comes before the student's."""

    teacher: ModelName
    """Model of the catalogue, or the path of a model file or a Hugging Face `config.json`; it has the
    student's vocabulary, and its weights are frozen."""
    gpus: Annotated[int, Field(ge=1)] | None = None
    """GPUs of its own, the last ones of the job's. Default: it runs on the student's, laid out as that."""
    tensor: Annotated[int, Field(ge=1)] = 1
    """Tensor parallelism of a teacher on GPUs of its own."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Logits of each token that are sent from GPUs of its own. Default: all."""
    ahead: Annotated[int, Field(ge=1)] = 2
    """Micro-batches that a teacher on GPUs of its own is ahead of each student, at the most."""

    @model_validator(mode="after")
    def _has_gpus(self) -> Self:
        if self.gpus is None and (self.tensor > 1 or self.top_k is not None):
            field = "tensor" if self.tensor > 1 else "top_k"
            raise FieldError("is of a teacher on GPUs of its own; set 'gpus' too", field)
        return self
