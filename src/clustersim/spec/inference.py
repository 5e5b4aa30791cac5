"""What a scenario may say about an inference service."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, ModelName, SpecModel
from clustersim.spec.arrivals import ArrivalsSpec, ClientArrivals
from clustersim.spec.economics import RunningCostSpec
from clustersim.spec.fleet import AutoscalingSpec, DisaggregationSpec, ReplicaFailuresSpec, StartupSpec
from clustersim.spec.kv_cache import KvCacheSpec
from clustersim.spec.lengths import LengthsSpec, check_lengths
from clustersim.spec.objectives import SloSpec
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.routing import RoutingPolicy
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.spec.serving_parallelism import ServingParallelismSpec
from clustersim.spec.serving_techniques import ServingTechniquesSpec
from clustersim.spec.step_times import StepTimesSpec
from clustersim.spec.tenants import TenantSpec
from clustersim.spec.traffic import TrafficSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["InferenceSpec", "SloSpec"]


class InferenceSpec(SpecModel):
    """An LLM service: requests arrive, are batched and answered token by token."""

    kind: Literal["inference"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the workload in all outputs."""
    model: ModelName
    """Model of the catalogue, or the path of a model file or a Hugging Face `config.json`."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """Independent copies of the engine behind one router; each takes pipeline × data × tensor GPUs."""
    parallelism: ServingParallelismSpec = ServingParallelismSpec()
    """Layout of one replica."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    precision: Literal["fp16", "bf16"] = "bf16"
    """Weights, activations and KV cache, where `techniques` and `kv_cache` say nothing else."""
    arrivals: ArrivalsSpec | None = None
    """When requests arrive; or give `tenants`."""
    lengths: LengthsSpec | None = None
    """Prompt and output lengths; needed unless the arrivals are a trace."""
    tenants: Annotated[tuple[TenantSpec, ...], LIST] = ()
    """Several streams of requests, each with arrivals, lengths, priority and objectives of its own,
    in place of `arrivals` and `lengths`."""
    scheduler: SchedulerSpec = SchedulerSpec()
    """Batching and KV memory."""
    kv_cache: KvCacheSpec = KvCacheSpec()
    """Precision of KV, prefix caching, and tiers below GPU memory."""
    routing: RoutingPolicy = "round-robin"
    """Which replica gets the next request; docs/fleet.md says how each chooses."""
    disaggregation: DisaggregationSpec | None = None
    """Prompts and answers on replicas of different pools, in place of `replicas`."""
    autoscaling: AutoscalingSpec | None = None
    """How many replicas there are over time; `replicas` is how many there are at the start."""
    startup: StartupSpec = StartupSpec()
    """How replicas start that are added or come back. Those of the start are there."""
    failures: ReplicaFailuresSpec | None = None
    """How replicas fail, and what becomes of their requests."""
    collective: CollectiveSpec = CollectiveSpec()
    """Algorithm and fidelity of tensor-parallel all-reduce."""
    traffic: TrafficSpec = TrafficSpec()
    """How its bytes compete with those of other workloads."""
    techniques: ServingTechniquesSpec = ServingTechniquesSpec()
    """Number formats, sparsity, CUDA graphs, speculative decoding, LoRA."""
    engine: str = "vllm-0.5"
    """Engine of the catalogue (`clustersim catalog engines`): what its host does in a step."""
    host_overhead: TimeQuantity | None = None
    """CPU time per engine step that GPUs wait for. Default: the engine's."""
    step_times: StepTimesSpec | None = None
    """Measured step times in place of the roofline's."""
    skip_ahead: bool = True
    """Runs of alike decode steps are computed in closed form; same answer, less time."""
    slo: SloSpec = SloSpec()
    """Objectives that attainment and goodput are counted against."""
    economics: RunningCostSpec = RunningCostSpec()
    """Prices and power of its GPUs, for money and energy per token."""
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
    def _measured_steps_are_as_measured(self) -> Self:
        if self.step_times is not None and self.techniques != ServingTechniquesSpec():
            raise FieldError("change the step times that 'step_times' gives; take one of them", "techniques")
        if self.step_times is not None and self.parallelism.data > 1:
            raise FieldError("'step_times' are of replicas without data parallelism", "parallelism", "data")
        return self

    @model_validator(mode="after")
    def _speculates_on_one_stage(self) -> Self:
        if self.techniques.speculation is not None and self.parallelism.gpus > self.parallelism.tensor:
            raise FieldError(
                "works with tensor parallelism alone; set 'pipeline' and 'data' to 1",
                "techniques",
                "speculation",
            )
        return self

    @property
    def most_replicas(self) -> int:
        """Replicas that there are GPUs for."""
        return self.autoscaling.max if self.autoscaling is not None else self.replicas

    @property
    def first_replicas(self) -> int:
        """Replicas at the start."""
        if self.autoscaling is None:
            return self.replicas
        return min(self.autoscaling.max, max(self.autoscaling.min, self.replicas))

    @property
    def pools(self) -> tuple[InferenceSpec, ...]:
        """The service as its replicas see it: itself, or once for prompts and once for answers."""
        split = self.disaggregation
        if split is None:
            return (self,)
        return tuple(
            self.model_copy(
                update={
                    "disaggregation": None,
                    "replicas": pool.replicas,
                    "autoscaling": pool.autoscaling,
                    "placement": pool.placement,
                    "parallelism": pool.parallelism or self.parallelism,
                    "scheduler": pool.scheduler or self.scheduler,
                    "routing": pool.routing or self.routing,
                }
            )
            for pool in (split.prefill, split.decode)
        )

    @model_validator(mode="after")
    def _pools_have_replicas(self) -> Self:
        if self.disaggregation is not None:
            for name in ("replicas", "autoscaling", "placement"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise FieldError("is of the pools; move it to 'prefill' and 'decode'", name)
        return self

    @model_validator(mode="after")
    def _one_demand(self) -> Self:
        if self.arrivals is not None and self.tenants:
            raise FieldError("give either 'arrivals' or 'tenants', not both", "tenants")
        if self.arrivals is not None:
            check_lengths(self.arrivals, self.lengths)
        elif not self.tenants:
            raise FieldError("nobody sends requests; give 'arrivals' or 'tenants'")
        elif self.lengths is not None:
            raise FieldError("each tenant has lengths of its own; move these there", "lengths")
        names = [tenant.name for tenant in self.tenants]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise FieldError(f"two tenants are called '{name}'", "tenants", place, "name")
        return self

    @model_validator(mode="after")
    def _ends(self) -> Self:
        demands = (self.arrivals,) if self.arrivals else tuple(tenant.arrivals for tenant in self.tenants)
        endless = any(arrivals.kind != "trace" for arrivals in demands)
        if endless and self.duration is None and self.requests is None:
            raise ValueError("give 'duration' or 'requests', or the service never ends")
        for arrivals in demands:
            if isinstance(arrivals, ClientArrivals) and arrivals.rate is not None and self.duration is None:
                raise FieldError("a 'rate' of clients is over the service's 'duration'; give it", "duration")
        return self
