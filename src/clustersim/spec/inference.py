"""What a scenario may say about an inference service."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, ModelName, SpecModel
from clustersim.spec.demand import ArrivalsSpec, LengthsSpec
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["InferenceParallelismSpec", "InferenceSpec", "SloSpec"]


class InferenceParallelismSpec(SpecModel):
    """How one replica is laid out over GPUs."""

    tensor: Annotated[int, Field(ge=1)] = 1
    """Tensor-parallel GPUs of one replica."""


class SloSpec(SpecModel):
    """Service-level objectives; a request attains them if it keeps all that are given."""

    ttft: TimeQuantity | None = None
    """Time to first token."""
    tpot: TimeQuantity | None = None
    """Mean time per output token after the first."""
    e2e: TimeQuantity | None = None
    """Whole time from arrival to last token."""


class InferenceSpec(SpecModel):
    """An LLM service: requests arrive, are batched and answered token by token."""

    kind: Literal["inference"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    model: ModelName
    """Model of the catalogue, or the path of a model file or a Hugging Face `config.json`."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """Independent copies of the engine behind one router."""
    parallelism: InferenceParallelismSpec = InferenceParallelismSpec()
    """Layout of one replica; the service takes replicas × tensor GPUs."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    precision: Literal["fp16", "bf16"] = "bf16"
    """Weights, activations and KV cache."""
    arrivals: ArrivalsSpec
    """When requests arrive."""
    lengths: LengthsSpec | None = None
    """Prompt and output lengths; needed unless the arrivals are a trace."""
    scheduler: SchedulerSpec = SchedulerSpec()
    """Batching and KV memory."""
    routing: Literal["round-robin", "least-outstanding", "random"] = "round-robin"
    """Which replica gets the next request."""
    collective: CollectiveSpec = CollectiveSpec()
    """Algorithm and fidelity of tensor-parallel all-reduce."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    host_overhead: TimeQuantity | None = None
    """CPU time per engine step that GPUs wait for. Default: the catalogue's."""
    skip_ahead: bool = True
    """Runs of alike decode steps are computed in closed form; same answer, less time."""
    slo: SloSpec = SloSpec()
    """Objectives that attainment is counted against."""
    start: TimeQuantity = quantity("0 s", TIME)
    """When the service opens; trace times count from here."""
    duration: TimeQuantity | None = None
    """Requests that arrive later than this after `start` are not sent. Give it, or `requests`,
    or both, unless the arrivals are a trace."""
    requests: Annotated[int, Field(ge=1)] | None = None
    """Send no more than this many requests."""
    warmup: TimeQuantity = quantity("0 s", TIME)
    """Requests that arrive earlier than this after `start` are served but not counted."""

    @model_validator(mode="after")
    def _ends_and_has_lengths(self) -> Self:
        if self.arrivals.kind == "trace":
            if self.lengths is not None:
                raise FieldError("a trace brings its own lengths; remove these", "lengths")
        else:
            if self.lengths is None:
                raise ValueError(f"'{self.arrivals.kind}' arrivals need 'lengths'")
            if self.duration is None and self.requests is None:
                raise ValueError("give 'duration' or 'requests', or the service never ends")
        return self
