"""An LLM service: demand sends requests, a fleet of replicas answers them, measures look at both."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import simpy

from clustersim.cost.serving.step_timer import StepTimer
from clustersim.engine.world import World
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome
from clustersim.workloads.inference.cache.prefix_cache import PrefixCache
from clustersim.workloads.inference.demand.load import ServiceLoad
from clustersim.workloads.inference.demand.plan import plan_demand
from clustersim.workloads.inference.fleet.facts import service_facts
from clustersim.workloads.inference.fleet.fleet import Fleet
from clustersim.workloads.inference.fleet.member import Member
from clustersim.workloads.inference.fleet.plan import plan_pools
from clustersim.workloads.inference.measures.attribution import service_shares
from clustersim.workloads.inference.measures.causes import service_causes
from clustersim.workloads.inference.measures.metrics import metrics
from clustersim.workloads.inference.measures.notes import service_notes
from clustersim.workloads.inference.measures.served import ReplicaRecord, Served, TenantRecord
from clustersim.workloads.inference.measures.statistics import latency_statistics
from clustersim.workloads.inference.measures.tables import request_table, service_tables
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.running_cost import RunningCost, price_facts

__all__ = ["InferenceWorkload"]


class InferenceWorkload:
    """Serves requests on the GPUs of its replicas; docs/inference.md follows one request.

    Parameters
    ----------
    spec
        What the scenario says.
    topology, gpus
        Where the replicas are: each takes the next GPUs, those of a prefill pool first.
    base
        Folder that relative paths start from.
    timer
        Step times in place of the roofline's, e.g. a `TableTimer`; for all replicas.

    Raises
    ------
    InputError
        For unknown models, tables and traces; paths are relative to the workload.
    CannotRunError
        Where heads or GPUs do not divide, or weights and KV cache do not fit.
    """

    kind = "inference"

    def __init__(
        self,
        spec: InferenceSpec,
        *,
        topology: Topology,
        gpus: tuple[str, ...],
        base: Path | None = None,
        timer: StepTimer | None = None,
    ) -> None:
        self.name = spec.name
        self._spec = spec
        self._base = base
        self._timer = timer
        self._demand = plan_demand(spec, base=base)
        self._pools = plan_pools(spec, topology=topology, gpus=gpus, base=base, longest=self._demand.longest)
        self._running_costs = {
            replica.cost.accelerator.name: RunningCost.of(spec.economics, replica.cost.accelerator)
            for pool in self._pools
            for replica in pool.replicas
        }
        self._facts = service_facts(spec, self._pools) | price_facts(self._running_costs.values())
        self._world: World | None = None
        self._fleet: Fleet | None = None
        self._requests: list[Request] = []
        self._done = 0
        """Requests that are answered or given up."""
        self._all_sent = False

    def start(self, world: World) -> simpy.Process:
        """Make the replicas' engines and begin to send; ends with the last answer."""
        self._world = world
        self._fleet = Fleet(
            world,
            self._spec,
            self._pools,
            base=self._base,
            timer=self._timer,
            answered=self._request_done,
            lost=self._request_done,
        )
        self._last_done = world.env.event()
        return world.env.process(self._serve(world, self._fleet, self._demand.load(world, self.name)))

    def progress(self) -> float:
        """Return finished requests over those that will be sent; by time, where that is unknown."""
        if self._world is None:
            return 0.0
        if self._all_sent and self._done == len(self._requests):
            return 1.0
        if self._demand.requests:
            return self._done / self._demand.requests
        elapsed_s = self._world.env.now - self._spec.start
        return min(0.99, max(0.0, elapsed_s / self._spec.duration)) if self._spec.duration else 0.0

    def outcome(self) -> Outcome:
        """Return metrics, tables and attribution of what happened so far."""
        served = self._served()
        table = request_table(served)
        statistics = latency_statistics(served, table)
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=metrics(served, table, statistics),
            tables=service_tables(served, table, statistics),
            attribution=service_shares(self._requests, served.columns, served.logs),
            causes=service_causes(self._requests, served.columns, served.logs),
            complete=self._all_sent and self._done == len(self._requests),
            notes=(*self._plan_notes, *service_notes(served, table, statistics, all_sent=self._all_sent)),
            facts=self._facts,
        )

    def _serve(self, world: World, fleet: Fleet, load: ServiceLoad) -> Generator[simpy.Event, Any, None]:
        yield world.env.timeout(self._spec.start)
        fleet.open()
        yield world.env.process(load.run(world.env, self._send))
        self._all_sent = True
        if self._done < len(self._requests):
            yield self._last_done
        fleet.close()

    def _send(self, request: Request) -> None:
        assert self._fleet is not None
        self._requests.append(request)
        self._fleet.send(request)

    def _request_done(self, request: Request) -> None:
        """A request is answered or given up, once; its client may send the next."""
        self._done += 1
        if request.on_finish is not None:
            request.on_finish(request)
        if self._all_sent and self._done == len(self._requests):
            self._last_done.succeed()

    def _served(self) -> Served:
        spec, fleet = self._spec, self._fleet
        return Served(
            requests=self._requests,
            replicas=[] if fleet is None else [self._record(member) for member in fleet.members],
            start_s=spec.start,
            now_s=self._world.env.now if self._world else 0.0,
            warmup_s=spec.warmup,
            slo=spec.slo,
            tenants=[TenantRecord(tenant.name, tenant.slo or spec.slo) for tenant in spec.tenants],
            prefix_caching=spec.kv_cache.prefix_caching,
            fleet=fleet.log if fleet is not None else None,
        )

    def _record(self, member: Member) -> ReplicaRecord:
        now_s = self._world.env.now if self._world else 0.0
        cost, cache = member.replica.cost, member.engine.scheduler.cache
        return ReplicaRecord(
            log=member.engine.log,
            kv_blocks=cache.total_blocks,
            gpus=len(member.replica.gpus),
            gpu_seconds=member.gpu_seconds(now_s),
            cost=cost,
            running=self._running_costs[cost.accelerator.name],
            cache=cache if isinstance(cache, PrefixCache) else None,
            memory=member.replica.memory,
            network=member.engine.network,
        )

    @property
    def _plan_notes(self) -> tuple[str, ...]:
        notes = dict.fromkeys(note for pool in self._pools for note in pool.replicas[0].notes)
        return (*notes, *self._demand.notes)
