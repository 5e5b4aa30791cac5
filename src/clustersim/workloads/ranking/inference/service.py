"""A ranking service: demand sends queries, replicas rank their candidates, measures look at both."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import simpy

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.spec.ranking.inference import RankingInferenceSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome
from clustersim.workloads.ranking.inference.course import Course
from clustersim.workloads.ranking.inference.demand.loads import Load, QueryHost
from clustersim.workloads.ranking.inference.demand.plan import plan_queries
from clustersim.workloads.ranking.inference.facts import service_facts
from clustersim.workloads.ranking.inference.measures.attribution import service_shares
from clustersim.workloads.ranking.inference.measures.by_pool import pool_metrics, pool_table
from clustersim.workloads.ranking.inference.measures.causes import service_causes
from clustersim.workloads.ranking.inference.measures.compared import compared_metrics
from clustersim.workloads.ranking.inference.measures.metrics import latency_estimates, metrics
from clustersim.workloads.ranking.inference.measures.notes import service_notes
from clustersim.workloads.ranking.inference.measures.pushes import push_metrics, push_table
from clustersim.workloads.ranking.inference.measures.served import ServedQueries
from clustersim.workloads.ranking.inference.measures.tables import service_tables
from clustersim.workloads.ranking.inference.model_push import ModelPush, plan_push
from clustersim.workloads.ranking.inference.pools import plan_pools
from clustersim.workloads.ranking.inference.queries import Queries
from clustersim.workloads.running_cost import price_facts

__all__ = ["RankingInferenceWorkload"]


class RankingInferenceWorkload:
    """Ranks candidates on the GPUs of its replicas; docs/ranking-inference.md follows one query.

    Parameters
    ----------
    spec
        What the scenario says.
    topology, gpus
        Where the replicas are: each takes the next GPUs.
    base
        Folder that relative paths start from.

    Raises
    ------
    InputError
        For unknown models, engines, tables and traces; paths are relative to the workload.
    CannotRunError
        Where the model does not fit.
    """

    kind = "ranking-inference"

    def __init__(
        self,
        spec: RankingInferenceSpec,
        *,
        topology: Topology,
        gpus: tuple[str, ...],
        base: Path | None = None,
    ) -> None:
        self.name = spec.name
        self._spec = spec
        self._demand = plan_queries(spec, base=base)
        self.pools = plan_pools(spec, topology=topology, gpus=gpus, base=base)
        self.plan = self.pools.own
        self._push_plan = plan_push(spec.push, self.plan, topology) if spec.push else None
        self._push: ModelPush | None = None
        self._running = self.pools.running()
        self._world: World | None = None
        self._course: Course | None = None
        self._sent = self._done = 0
        self._all_sent = False

    def start(self, world: World) -> simpy.Process:
        """Make the replicas and begin to send; ends with the last answer."""
        spec = self._spec
        self._world = world
        traffic = TrafficClass(spec.traffic.priority, spec.traffic.weight)
        self._course = self.pools.open(world, traffic=traffic, done=self._query_done)
        self._last_done = world.env.event()
        if self._push_plan is not None:
            self._push = ModelPush(
                world,
                self._push_plan,
                self.plan,
                self._course.pool,
                name=spec.name,
                traffic=traffic,
                over=self._is_over,
            )
            world.env.process(self._push.run(spec.start))
        host = QueryHost.of(self.pools.first.engine, speed=world.topology.speeds.host)
        return world.env.process(self._serve(world, self._demand.load(world, host)))

    def progress(self) -> float:
        """Return answered queries over those that will be sent; by time, where that is unknown."""
        if self._world is None:
            return 0.0
        if self._is_over():
            return 1.0
        if self._demand.queries:
            return self._done / self._demand.queries
        elapsed_s = self._world.env.now - self._spec.start
        return min(0.99, max(0.0, elapsed_s / self._spec.duration)) if self._spec.duration else 0.0

    def outcome(self) -> Outcome:
        """Return metrics, tables and attribution of what happened so far."""
        served = self._served()
        latencies = latency_estimates(served)
        pushed = () if self._push is None else self._push.done
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=metrics(served, latencies)
            | pool_metrics(served, self._spec)
            | compared_metrics(served, self._spec.experiment, self.pools.compared_gpus)
            | push_metrics(served, pushed),
            tables=service_tables(served, latencies) | pool_table(served) | push_table(pushed),
            attribution=service_shares(served),
            causes=service_causes(served),
            complete=self._is_over(),
            notes=tuple(service_notes(served, latencies, all_sent=self._all_sent)),
            facts=service_facts(self.pools) | price_facts([self._running] if self._running else []),
        )

    def _serve(self, world: World, load: Load) -> Generator[simpy.Event, Any, None]:
        yield world.env.timeout(self._spec.start)
        yield world.env.process(load.run(world.env, self._send))
        self._all_sent = True
        if self._done < self._sent:
            yield self._last_done

    def _send(self, arrival_s: float, samples: int, answered: Any) -> None:
        assert self._course is not None
        self._sent += 1
        self._course.send(arrival_s, samples, answered)

    def _is_over(self) -> bool:
        return self._all_sent and self._done == self._sent

    def _query_done(self) -> None:
        self._done += 1
        if self._is_over():
            self._last_done.succeed()

    def _served(self) -> ServedQueries:
        spec, plan = self._spec, self.plan
        course = self._course
        second_copy_bytes = 0.0 if self._push_plan is None else self._push_plan.second_copy_bytes
        return ServedQueries(
            queries=Queries() if course is None else course.queries,
            visits=() if course is None else tuple(course.visits()),
            start_s=spec.start,
            now_s=self._world.env.now if self._world else 0.0,
            warmup_s=spec.warmup,
            slo=spec.slo,
            gpus=self.pools.gpus,
            memory_bytes=self.pools.memory_bytes + second_copy_bytes,
            hit_rate=plan.replicas[0].hit_rate,
            running=self._running,
        )
