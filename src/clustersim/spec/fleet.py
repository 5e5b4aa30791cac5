"""What a scenario may say about the replicas of a service together: who gets a request, how many there are,
how they start and fail, and whether prompts and answers are computed by different ones."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.spec.placement import PlacementSpec
from clustersim.spec.routing import RoutingPolicy
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.spec.serving_parallelism import ServingParallelismSpec
from clustersim.units import TIME, BandwidthQuantity, TimeQuantity, quantity

__all__ = [
    "AutoscalingSpec",
    "DisaggregationSpec",
    "PoolSpec",
    "ReplicaFailureSpec",
    "ReplicaFailuresSpec",
    "StartupSpec",
]


class StartupSpec(SpecModel):
    """What it takes until a replica that is added, or comes back after a failure, serves."""

    engine: TimeQuantity | None = None
    """Container, processes, libraries, captured graphs, before weights are read. Default: the catalogue's."""
    weights_from: Annotated[str, Field(min_length=1)] = "host"
    """`host`: memory of the GPUs' own host; else the vertex of the topology that has the weights, such as a
    storage server. The bytes are flows over the links from there to each GPU."""
    bandwidth: BandwidthQuantity | None = None
    """What that source gives to one replica at the most, such as a drive of the host. Default: no limit."""


class AutoscalingSpec(SpecModel):
    """Replicas are added and taken away as the load changes."""

    min: Annotated[int, Field(ge=1)] = 1
    """Fewest replicas."""
    max: Annotated[int, Field(ge=1)]
    """Most replicas; the service takes GPUs for so many."""
    metric: Literal["queue", "outstanding", "utilization", "kv"] = "outstanding"
    """What is held near the target, mean over ready replicas. `queue`: requests that wait for admission;
    `outstanding`: requests without their last token; `utilization`: share of the last interval in which
    a replica had requests; `kv`: share of the KV blocks in use."""
    target: Annotated[float, Field(gt=0.0)]
    """Its value per replica."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Nothing changes while the metric is this near to the target, relative."""
    interval: TimeQuantity = quantity("15 s", TIME)
    """From one look to the next."""
    cooldown: TimeQuantity = quantity("5 min", TIME)
    """Replicas go only when so many seconds of looks have all asked for fewer."""

    @model_validator(mode="after")
    def _some_range(self) -> Self:
        if self.max < self.min:
            raise FieldError(f"{self.max} is less than 'min', {self.min}", "max")
        if self.interval == 0.0:
            raise FieldError("has to be more than zero", "interval")
        return self


class ReplicaFailureSpec(SpecModel):
    """One failure at a given time."""

    at: TimeQuantity
    """When, from the start of the run."""
    replica: Annotated[int, Field(ge=0)]
    """Number of the replica; those of the prefill pool come first."""
    repair: TimeQuantity | None = None
    """In place of that of all."""


class ReplicaFailuresSpec(SpecModel):
    """Replicas that fail and come back; what they were computing is sent again."""

    mtbf: TimeQuantity | None = None
    """Mean time that a replica serves until it fails, exponentially distributed."""
    at: Annotated[tuple[ReplicaFailureSpec, ...], LIST] = ()
    """Failures at given times; one of a replica that does not serve then is left out."""
    repair: TimeQuantity
    """From a failure until the replica can be started again; its start comes on top."""
    max_attempts: Annotated[int, Field(ge=1)] | None = None
    """A request that has been sent so often is given up. Default: it is sent until it is answered."""

    @model_validator(mode="after")
    def _some_failures(self) -> Self:
        if self.mtbf == 0.0:
            raise FieldError("has to be more than zero", "mtbf")
        return self


class PoolSpec(SpecModel):
    """Replicas that compute prompts alone, or answers alone."""

    replicas: Annotated[int, Field(ge=1)] = 1
    """Of this pool."""
    parallelism: ServingParallelismSpec | None = None
    """Layout of one of them. Default: the service's."""
    placement: PlacementSpec = PlacementSpec()
    """Which GPUs."""
    scheduler: SchedulerSpec | None = None
    """Batching and KV memory. Default: the service's."""
    routing: RoutingPolicy | None = None
    """Which replica of the pool. Default: the service's."""
    autoscaling: AutoscalingSpec | None = None
    """How many replicas the pool has over time. Default: `replicas`, always."""


class DisaggregationSpec(SpecModel):
    """Prompts are computed by one pool of replicas and answers by another; KV goes over the network."""

    prefill: PoolSpec = PoolSpec()
    """Computes prompts, each up to the first token."""
    decode: PoolSpec = PoolSpec()
    """Computes the tokens after the first."""
    transfer: Literal["whole", "layer-wise"] = "whole"
    """When a request's KV is sent. `whole`: after its prompt; `layer-wise`: layer by layer beside it."""
