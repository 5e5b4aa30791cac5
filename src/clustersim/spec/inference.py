"""What a scenario may say about an inference service."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, InputPath, ModelName, SpecModel
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.units import TIME, RateQuantity, TimeQuantity, quantity

__all__ = [
    "ArrivalsSpec",
    "ClosedLoopArrivals",
    "FixedArrivals",
    "GammaArrivals",
    "InferenceParallelismSpec",
    "InferenceSpec",
    "LengthsSpec",
    "PoissonArrivals",
    "SchedulerSpec",
    "SloSpec",
    "TraceArrivals",
]


class PoissonArrivals(SpecModel):
    """Independent arrivals at a constant mean rate."""

    kind: Literal["poisson"]
    rate: RateQuantity
    """Mean arrival rate."""


class GammaArrivals(SpecModel):
    """Renewal arrivals with gamma-distributed gaps: bursty above a coefficient of variation of 1."""

    kind: Literal["gamma"]
    rate: RateQuantity
    """Mean arrival rate."""
    cv: Annotated[float, Field(gt=0.0)]
    """Coefficient of variation of the gaps; 1 is Poisson."""


class FixedArrivals(SpecModel):
    """One request every 1/rate seconds."""

    kind: Literal["fixed"]
    rate: RateQuantity
    """Arrival rate."""


class ClosedLoopArrivals(SpecModel):
    """A fixed number of clients; each sends its next request some time after its last answer."""

    kind: Literal["closed-loop"]
    clients: Annotated[int, Field(ge=1)]
    """Clients, each with one request outstanding."""
    think_time: TimeQuantity = quantity("0 s", TIME)
    """Mean of the exponential pause between an answer and the next request."""


class TraceArrivals(SpecModel):
    """Arrival times and lengths from a file."""

    kind: Literal["trace"]
    path: InputPath
    """CSV or CSV.gz, relative to the scenario file: the Azure LLM inference format
    (`TIMESTAMP,ContextTokens,GeneratedTokens`) or columns `arrived_at,prompt,output`."""
    rate_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Gaps are divided by this: 2 doubles the load."""


ArrivalsSpec = Annotated[
    PoissonArrivals | GammaArrivals | FixedArrivals | ClosedLoopArrivals | TraceArrivals,
    Field(discriminator="kind"),
]


class LengthsSpec(SpecModel):
    """Prompt and output lengths where the arrivals bring none."""

    table: str | None = None
    """Quantile table of the catalogue, e.g. `azure-conversation-2023`."""
    prompt: Annotated[int, Field(ge=1)] | None = None
    """Every prompt has this many tokens; with `output`, in place of a table."""
    output: Annotated[int, Field(ge=1)] | None = None
    """Every answer has this many tokens."""

    @model_validator(mode="after")
    def _table_or_fixed(self) -> Self:
        fixed = (self.prompt is not None, self.output is not None)
        if (self.table is not None) == any(fixed) or any(fixed) != all(fixed):
            raise ValueError("give either 'table', or both 'prompt' and 'output'")
        return self


class InferenceParallelismSpec(SpecModel):
    """How one replica is laid out over GPUs."""

    tensor: Annotated[int, Field(ge=1)] = 1
    """Tensor-parallel GPUs of one replica."""


class SchedulerSpec(SpecModel):
    """Which requests run in the next engine step."""

    policy: Literal["continuous"] = "continuous"
    """Continuous batching (Orca, OSDI 2022) over paged KV blocks (vLLM, SOSP 2023)."""
    max_batch: Annotated[int, Field(ge=1)] = 256
    """Requests running at once on one replica."""
    max_batched_tokens: Annotated[int, Field(ge=1)] = 8192
    """Prompt tokens computed in one step when prompts are not chunked."""
    chunked_prefill: Annotated[int, Field(ge=1)] | None = None
    """Token budget of a step shared by decodes and prompt chunks (Sarathi-Serve, OSDI 2024).
    Default: whole prompts run first, in steps of their own."""
    block_tokens: Annotated[int, Field(ge=1)] = 16
    """Tokens in one KV block."""
    memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Fraction of GPU memory that weights, activations and KV blocks may fill."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Fraction of KV blocks kept free when a new request is admitted."""


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
