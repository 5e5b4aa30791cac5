"""An LLM service: replicas behind a router, fed by a stream of requests or by clients."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import simpy

from clustersim.catalog.serving import DEFAULT_ENGINE
from clustersim.catalog.serving import SHELF as ENGINES
from clustersim.collectives.from_spec import communicator_for
from clustersim.cost.serving import RooflineTimer
from clustersim.cost.step_timer import StepTimer
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome, Table
from clustersim.workloads.inference.demand.load import Load
from clustersim.workloads.inference.demand.plan import plan_demand
from clustersim.workloads.inference.fleet.router import Router, make_router
from clustersim.workloads.inference.measures.attribution import service_shares
from clustersim.workloads.inference.measures.metrics import (
    Served,
    growing_queue_note,
    metrics,
    nothing_counted_note,
    request_table,
    step_table,
)
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.replica.layout import Replica, plan_replicas
from clustersim.workloads.inference.replica.tensor_parallel import TensorParallel
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.scheduler import make_scheduler

__all__ = ["InferenceWorkload"]


class InferenceWorkload:
    """Serves requests on `replicas × tensor` GPUs; see docs/inference.md.

    Parameters
    ----------
    spec
        What the scenario says.
    topology, gpus
        Where the replicas are: each takes the next `parallelism.tensor` of the GPUs.
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
        self._demand = plan_demand(spec, base=base)
        self._replicas = plan_replicas(
            spec, topology=topology, gpus=gpus, base=base, longest=self._demand.longest
        )
        self._timer = timer
        self._world: World | None = None
        self._engines: list[ReplicaEngine] = []
        self._requests: list[Request] = []
        self._outstanding = [0] * spec.replicas
        self._finished = 0
        self._all_sent = False

    def start(self, world: World) -> simpy.Process:
        """Take the GPUs' memory, open the replicas, begin to send; ends with the last answer."""
        self._world = world
        self._router: Router = make_router(self._spec.routing, world.random(self.name, "router"))
        for index, replica in enumerate(self._replicas):
            for gpu in replica.gpus:
                world.gpus[gpu].memory.reserve(replica.memory.total_bytes, who=f"service '{self.name}'")
            self._engines.append(self._open(world, index, replica))
        self._last_answer = world.env.event()
        return world.env.process(self._serve(world, self._demand.load(world, self.name)))

    def progress(self) -> float:
        """Return finished requests over those that will be sent; by time, where that is unknown."""
        if self._world is None:
            return 0.0
        if self._all_sent and self._finished == len(self._requests):
            return 1.0
        if self._demand.requests:
            return self._finished / self._demand.requests
        elapsed_s = self._world.env.now - self._spec.start
        return min(0.99, max(0.0, elapsed_s / self._spec.duration)) if self._spec.duration else 0.0

    def outcome(self) -> Outcome:
        """Return metrics, tables and attribution of what happened so far."""
        served = self._served()
        table = request_table(served)
        unfinished = len(self._requests) - self._finished
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=metrics(served, table),
            tables={"requests": table, "steps": step_table(served)},
            attribution=service_shares(self._requests, served.logs),
            complete=self._all_sent and not unfinished,
            notes=self._notes(table, unfinished),
            facts=self._facts(),
        )

    def _open(self, world: World, index: int, replica: Replica) -> ReplicaEngine:
        spec, cost = self._spec, replica.cost
        name = f"{self.name}.{index}"
        network = None
        if len(replica.gpus) > 1:
            communicator = communicator_for(
                spec.collective,
                world,
                replica.gpus,
                owner=name,
                lane=f"{name}/comm",
                base=self._base,
                traffic=TrafficClass(spec.traffic.priority, spec.traffic.weight),
            )
            network = TensorParallel(
                communicator,
                bytes_per_token=cost.all_reduce_bytes(1),
                repeats=cost.all_reduces,
                closed_form=spec.collective.fidelity == "macro",
            )
        return ReplicaEngine(
            world,
            name=name,
            arrivals_lane=f"{self.name}/arrivals",
            scheduler=make_scheduler(spec.scheduler, replica.memory.cache()),
            timer=self._timer or RooflineTimer(cost, host_s=self._host_s),
            network=network,
            skip_ahead=spec.skip_ahead,
            on_finish=self._on_finish,
        )

    @property
    def _host_s(self) -> float:
        given = self._spec.host_overhead
        return given if given is not None else ENGINES.get(DEFAULT_ENGINE).host_overhead_s

    def _serve(self, world: World, load: Load) -> Generator[simpy.Event, Any, None]:
        yield world.env.timeout(self._spec.start)
        yield world.env.process(load.run(world.env, self._send))
        self._all_sent = True
        if self._finished < len(self._requests):
            yield self._last_answer
        for replica in self._replicas:
            for gpu in replica.gpus:
                world.gpus[gpu].memory.put(replica.memory.total_bytes)

    def _send(self, request: Request) -> None:
        request.replica = self._router(self._outstanding)
        self._requests.append(request)
        self._outstanding[request.replica] += 1
        self._engines[request.replica].submit(request)

    def _on_finish(self, request: Request) -> None:
        self._finished += 1
        self._outstanding[request.replica] -= 1
        if request.on_finish is not None:
            request.on_finish(request)
        if self._all_sent and self._finished == len(self._requests):
            self._last_answer.succeed()

    def _served(self) -> Served:
        return Served(
            requests=self._requests,
            logs=[engine.log for engine in self._engines],
            kv_blocks=[engine.scheduler.cache.total_blocks for engine in self._engines],
            start_s=self._spec.start,
            now_s=self._world.env.now if self._world else 0.0,
            warmup_s=self._spec.warmup,
            slo=self._spec.slo,
        )

    def _notes(self, table: Table, unfinished: int) -> tuple[str, ...]:
        notes = [*self._replicas[0].notes, *self._demand.notes]
        found = (growing_queue_note(table), nothing_counted_note(table, all_sent=self._all_sent))
        notes += [note for note in found if note is not None]
        if unfinished and self._world is not None:
            notes.append(f"{unfinished} requests were sent and not finished when the run stopped")
        return tuple(notes)

    def _facts(self) -> dict[str, float | str]:
        replica = self._replicas[0]
        return {
            "model": replica.cost.model.name,
            "parameters": float(replica.cost.model.parameters),
            "gpus": float(sum(len(replica.gpus) for replica in self._replicas)),
            "replicas": float(len(self._replicas)),
            "tensor": float(len(replica.gpus)),
            "weight_bytes_per_gpu": replica.memory.weight_bytes,
            "activation_bytes_per_gpu": replica.memory.activation_bytes,
            "kv_bytes_per_gpu": replica.memory.kv_bytes,
            "kv_blocks": float(replica.memory.kv_blocks),
            "kv_tokens": float(replica.memory.kv_blocks * self._spec.scheduler.block_tokens),
            "host_overhead_s": self._host_s,
        }
