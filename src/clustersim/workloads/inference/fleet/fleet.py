"""The replicas of a service: pools, who starts and stops them, and what becomes of a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clustersim.cost.serving.step_timer import StepTimer
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.spec.inference import InferenceSpec
from clustersim.workloads.inference.cache.build import Caches
from clustersim.workloads.inference.fleet.autoscaler import Autoscaler, keep_looking
from clustersim.workloads.inference.fleet.disaggregation import Disaggregation
from clustersim.workloads.inference.fleet.failures import Failures
from clustersim.workloads.inference.fleet.fleet_log import FleetLog
from clustersim.workloads.inference.fleet.kv_routes import KvRoutes
from clustersim.workloads.inference.fleet.member import Member
from clustersim.workloads.inference.fleet.opening import EngineHooks, engine_start_s, open_engine
from clustersim.workloads.inference.fleet.plan import PoolPlan
from clustersim.workloads.inference.fleet.pool import Deliver, Pool
from clustersim.workloads.inference.fleet.routing import make_router
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.replica.layout import Replica
from clustersim.workloads.inference.requests import Request

__all__ = ["Fleet"]


class Fleet:
    """Takes requests and tells when they are answered, or given up.

    Parameters
    ----------
    world
        Clock, GPUs and network.
    spec
        What the scenario says.
    plans
        One pool, or that of prompts and that of answers. Replicas are numbered through all of them.
    base, timer
        Folder of relative paths, and step times in place of the roofline's.
    answered, lost
        Called with each request that has its last token, and with each that is given up.
    """

    def __init__(
        self,
        world: World,
        spec: InferenceSpec,
        plans: Sequence[PoolPlan],
        *,
        base: Path | None,
        timer: StepTimer | None,
        answered: Callable[[Request], None],
        lost: Callable[[Request], None],
    ) -> None:
        self.log = FleetLog()
        self._world = world
        self._spec = spec
        self._base = base
        self._timer = timer
        self._answered = answered
        self._lost = lost
        self._traffic = TrafficClass(spec.traffic.priority, spec.traffic.weight)
        self._caches = Caches(world, spec)
        self._split = self._disaggregation(plans) if len(plans) > 1 else None
        self.pools: list[Pool] = []
        self.members: list[Member] = []
        """All replicas, by number."""
        for plan in plans:
            self._add_pool(plan)
        if self._split is not None:
            self._split.connect(*self.pools)
        self.send: Callable[[Request], None] = self._split.send if self._split else self.pools[0].send
        """Takes a request that arrives now."""
        self._first = [plan.spec.first_replicas for plan in plans]
        self._closed = False
        self._failures: Failures | None = None

    def open(self) -> None:
        """Have the first replicas ready, and begin to scale and to fail."""
        spec, env = self._spec, self._world.env
        if spec.failures is not None:
            self._failures = Failures(
                self._world, spec.failures, name=spec.name, members=self.members, fail=self._fail
            )
        for pool, count in zip(self.pools, self._first, strict=True):
            for member in pool.members[:count]:
                member.open()
        scalers = [
            Autoscaler(env, pool_spec.autoscaling, pool)
            for pool, pool_spec in zip(self.pools, spec.pools, strict=True)
            if pool_spec.autoscaling is not None
        ]
        if scalers:
            env.process(keep_looking(env, scalers, closed=lambda: self._closed))

    def close(self) -> None:
        """Give all GPUs back; nothing starts, stops or fails any more."""
        self._closed = True
        if self._failures is not None:
            self._failures.closed = True
        for member in self.members:
            member.close()

    def gpu_seconds(self) -> float:
        """Return how long GPUs were held until now, all together."""
        now_s = self._world.env.now
        return sum(member.gpu_seconds(now_s) for member in self.members)

    def _disaggregation(self, plans: Sequence[PoolPlan]) -> Disaggregation:
        split, name = self._spec.disaggregation, self._spec.name
        assert split is not None
        layers = plans[0].replicas[0].cost.model.layers
        return Disaggregation(
            self._world,
            routes=KvRoutes(self._world, owner=f"{name}.kv", traffic=self._traffic),
            layers=layers if split.transfer == "layer-wise" else 1,
            lane=f"{name}.kv/transfers",
            answered=self._answered,
            again=self._again,
            recovered=self._recovered,
        )

    def _add_pool(self, plan: PoolPlan) -> None:
        hooks = self._hooks()
        deliver: Deliver = ReplicaEngine.submit
        if self._split is not None and self.pools:
            deliver = self._split.deliver
        members = [self._member(plan, replica, hooks) for replica in plan.replicas]
        router = make_router(
            plan.spec.routing,
            replicas=len(members),
            kv_tokens=sum(replica.memory.kv_blocks for replica in plan.replicas)
            * plan.spec.scheduler.block_tokens,
            rng=self._world.random(self._spec.name, "router", *([len(self.pools)] if self.pools else [])),
        )
        self.pools.append(Pool(self._world.env, members, router, deliver=deliver))

    def _hooks(self) -> EngineHooks:
        """Return what the engines of the next pool tell whom."""
        if self._split is None or self.pools:
            place = len(self.pools)
            return EngineHooks(on_finish=lambda request: self._finished(self.pools[place], request))
        layer_wise = self._spec.disaggregation is not None and self._spec.disaggregation.transfer != "whole"
        return EngineHooks(
            on_finish=self._split.prompt_answered,
            on_prefilled=self._split.prompt_done,
            on_chunk=self._split.chunk_begins if layer_wise else None,
        )

    def _member(self, plan: PoolPlan, replica: Replica, hooks: EngineHooks) -> Member:
        number = len(self.members)
        engine = open_engine(
            self._world,
            replica,
            spec=plan.spec,
            number=number,
            base=self._base,
            timer=self._timer,
            hooks=hooks,
            caches=self._caches,
        )
        member = Member(
            self._world,
            name=f"{self._spec.name}.{number}",
            number=number,
            replica=replica,
            engine=engine,
            startup=self._spec.startup,
            engine_start_s=engine_start_s(self._spec) / self._world.topology.speeds.host,
            traffic=self._traffic,
            log=self.log,
        )
        self.members.append(member)
        return member

    def _finished(self, pool: Pool, request: Request) -> None:
        pool.left(request)
        self._answered(request)

    def _fail(self, member: Member) -> None:
        """A replica fails: see to everything that it had."""
        pool = next(pool for pool in self.pools if member in pool.members)
        requests = pool.fail(member)
        if self._split is None:
            for request in requests:
                self._again(request)
        elif pool is self.pools[0]:
            self._split.prefill_failed(requests)
        else:
            self._split.decode_failed(requests)

    def _recovered(self) -> None:
        self.log.retries += 1

    def _again(self, request: Request) -> None:
        """Send a request again from the beginning, unless that was done too often."""
        failures = self._spec.failures
        most = failures.max_attempts if failures is not None else None
        if most is not None and request.attempts >= most:
            self.log.lost += 1
            self._lost(request)
        else:
            self.log.retries += 1
            self.send(request)
