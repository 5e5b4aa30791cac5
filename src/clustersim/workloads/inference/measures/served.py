"""What a service did until now: all that metrics and tables are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.spec.objectives import SloSpec
from clustersim.workloads.inference.cache.prefix_cache import PrefixCache
from clustersim.workloads.inference.fleet.fleet_log import FleetLog
from clustersim.workloads.inference.measures.request_columns import RequestColumns
from clustersim.workloads.inference.replica.memory import MemoryPlan
from clustersim.workloads.inference.replica.network import StepNetwork
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.running_cost import RunningCost

__all__ = ["ReplicaRecord", "Served", "TenantRecord"]


@dataclass(frozen=True)
class TenantRecord:
    """Whose requests, and what was promised to them."""

    name: str
    slo: SloSpec


@dataclass(frozen=True)
class ReplicaRecord:
    """What one replica did, and on what.

    Parameters
    ----------
    log
        Its steps.
    kv_blocks
        KV blocks that it has.
    gpus
        How many GPUs.
    gpu_seconds
        How long it held them since the service opened, times their number; None: all the time.
    cost
        Counts the work of a step; None where nobody can.
    running
        Price and power of its GPUs; None: unknown.
    cache
        Its prefix cache, if it has one.
    memory
        Of each of its GPUs.
    network
        What its GPUs say to each other in a step; None where there is one GPU.
    """

    log: StepLog
    kv_blocks: int
    gpus: int = 1
    gpu_seconds: float | None = None
    cost: ServingCost | None = None
    running: RunningCost | None = None
    cache: PrefixCache | None = None
    memory: MemoryPlan | None = None
    network: StepNetwork | None = None


@dataclass(frozen=True)
class Served:
    """What a service did until now.

    Parameters
    ----------
    requests
        All that were sent, in order.
    replicas
        All replicas, by number.
    start_s, now_s
        When the service opened, and the time of looking.
    warmup_s
        Requests that arrived earlier than this after the start are not counted, and rates and
        the engines' means are over the time from then on.
    slo
        Objectives of a service without tenants.
    tenants
        By the number that requests carry; none where the service is not divided.
    prefix_caching
        Whether prompts could find a part of themselves in a cache.
    fleet
        What happened to replicas.
    """

    requests: Sequence[Request]
    replicas: Sequence[ReplicaRecord]
    start_s: float
    now_s: float
    warmup_s: float
    slo: SloSpec
    tenants: Sequence[TenantRecord] = ()
    prefix_caching: bool = False
    fleet: FleetLog | None = None

    @property
    def counted_from_s(self) -> float:
        """The end of the warm-up."""
        return self.start_s + self.warmup_s

    @cached_property
    def columns(self) -> RequestColumns:
        """The requests as columns."""
        return RequestColumns.of(self.requests)

    @property
    def logs(self) -> list[StepLog]:
        """Step log of each replica."""
        return [replica.log for replica in self.replicas]

    @property
    def caches(self) -> dict[int, PrefixCache]:
        """Prefix cache of each replica that has one, by number."""
        return {
            number: replica.cache for number, replica in enumerate(self.replicas) if replica.cache is not None
        }
