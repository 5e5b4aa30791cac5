"""New weights are brought to the replicas of a service while they rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import simpy

from clustersim.cost.operators import elementwise
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.owners import part_of
from clustersim.engine.trace import HOST
from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError, Problem
from clustersim.spec.ranking.model_push import ModelPushSpec
from clustersim.topology import Topology
from clustersim.topology.hosts import hosts_of
from clustersim.units import SIZE, format_quantity
from clustersim.workloads.bulk_flow import BulkFlow, BulkRoute, Sent
from clustersim.workloads.ranking.inference.plan import PoolPlan, ReplicaPlan
from clustersim.workloads.ranking.inference.pool import RankingPool
from clustersim.workloads.ranking.inference.replica.worker import Device
from clustersim.workloads.span import Span

__all__ = ["ModelPush", "PushPlan", "Pushed", "plan_push"]

Process = Generator[simpy.Event, Any, None]


class Pushed(NamedTuple):
    """One replica that has new weights."""

    push: int
    replica: int
    start_s: float
    end_s: float
    size_bytes: float


@dataclass(frozen=True)
class PushPlan:
    """What a push brings to each GPU, and from where.

    Parameters
    ----------
    spec
        When, and into which memory.
    source
        Host that is the parameter store.
    table_bytes, layer_bytes, row_bytes
        Of a GPU: of the rows that a push brings, of the layers, and of one row in the mean.
    """

    spec: ModelPushSpec
    source: str
    table_bytes: float
    layer_bytes: float
    row_bytes: float

    @property
    def size_bytes(self) -> float:
        """That a push brings to a GPU."""
        return self.table_bytes + self.layer_bytes

    @property
    def second_copy_bytes(self) -> float:
        """Room that the new weights need beside the old ones, on each GPU."""
        return self.size_bytes if self.spec.memory == "double-buffered" else 0.0


def plan_push(spec: ModelPushSpec, plan: PoolPlan, topology: Topology) -> PushPlan:
    """Say what a push brings.

    *Equation.* rows·tables of the GPU + layers; a row in the mean: bytes of the tables over their rows.

    Raises
    ------
    InputError
        For a node that does not exist.
    CannotRunError
        If there is no room for a second copy.
    """
    memory = plan.replicas[0].memory
    model = plan.model
    rows = sum(table.rows for table in model.tables)
    found = PushPlan(
        spec=spec,
        source=_store(spec, topology),
        table_bytes=spec.rows * memory.tables,
        layer_bytes=memory.layers,
        row_bytes=model.embedding_bytes(plan.spec.embeddings.precision) / max(rows, 1),
    )
    for replica in plan.replicas:
        free_bytes = topology.memory_bytes(replica.gpus[0]) - replica.memory.total
        if found.second_copy_bytes > free_bytes:
            need, free = (
                format_quantity(round(size), SIZE) for size in (found.second_copy_bytes, free_bytes)
            )
            message = (
                f"a second copy of what a push brings needs {need} of a GPU, {free} are left; "
                "take 'in-place', or a smaller share of 'rows'"
            )
            raise CannotRunError(Problem(("push", "memory"), message))
    return found


def _store(spec: ModelPushSpec, topology: Topology) -> str:
    nodes = list(topology.gpus_by_node)
    number = len(nodes) - 1 if spec.source is None else spec.source
    if number >= len(nodes):
        raise InputError(Problem(("push", "source"), f"the cluster's nodes are 0 to {len(nodes) - 1}"))
    gpu = topology.gpus_by_node[nodes[number]][0]
    return hosts_of(topology, (gpu,))[gpu]


class ModelPush:
    """Brings new weights to one group of replicas after the other, again and again.

    *Equation.* In place: chunks of `chunk_rows` rows go from the store to each GPU as a flow, and are then
    written over the old rows: 2·bytes of memory traffic, in line with the batches of the device.
    Double-buffered: one flow into the second copy, then `switch` on the device. Flows share links with the
    copies and exchanges of batches; the next group begins when all of the one before have the new weights.

    Parameters
    ----------
    pool
        Whose replicas.
    over
        Whether the service will answer no more queries.

    **Valid when** old and new rows may be met in one batch, as they are in place on GPUs.
    **Checked by:** tests/workloads/ranking/test_ranking_push.py.
    """

    def __init__(
        self,
        world: World,
        plan: PushPlan,
        pool_plan: PoolPlan,
        pool: RankingPool,
        *,
        name: str,
        traffic: TrafficClass,
        over: Callable[[], bool],
    ) -> None:
        self.done: list[Pushed] = []
        self._world = world
        self._plan = plan
        self._pool_plan = pool_plan
        self._pool = pool
        self._name = name
        self._traffic = traffic
        self._over = over
        for replica, workers in zip(pool_plan.replicas, pool.workers, strict=True):
            for gpu in replica.gpus:
                world.gpus[gpu].memory.reserve(plan.second_copy_bytes, who=f"the push of {name}")
            for worker in workers:
                worker.alone = False  # A push stands in line with its batches.

    def run(self, start_s: float) -> Process:
        """Push until the service is over; `start_s` is its opening."""
        env, spec = self._world.env, self._plan.spec
        due_s = start_s + (spec.every if spec.first is None else spec.first)
        number = 0
        while spec.pushes is None or number < spec.pushes:
            if due_s > env.now:
                yield env.timeout(due_s - env.now)
            if self._over():
                return
            for group in self._groups():
                yield env.all_of([env.process(self._update(number, replica)) for replica in group])
            number, due_s = number + 1, due_s + spec.every

    def _groups(self) -> Iterator[Sequence[int]]:
        count, size = len(self._pool_plan.replicas), self._plan.spec.at_once
        return (range(first, min(first + size, count)) for first in range(0, count, size))

    def _update(self, number: int, replica: int) -> Process:
        env, loads = self._world.env, self._pool.loads
        start_s = env.now
        drained = self._plan.spec.drain and len(loads.ready) > 1
        if drained:
            loads.set_ready(replica, ready=False)
        plan = self._pool_plan.replicas[replica]
        devices = {id(worker.device): worker.device for worker in self._pool.workers[replica]}
        yield env.all_of([env.process(self._bring(plan, device)) for device in devices.values()])
        if drained:
            loads.set_ready(replica, ready=True)
        size_bytes = self._plan.size_bytes * len(plan.gpus)
        self.done.append(Pushed(number, replica, start_s, env.now, size_bytes))

    def _bring(self, replica: ReplicaPlan, device: Device) -> Process:
        plan, gpus = self._plan, device.gpus
        route = BulkRoute.of(
            self._world,
            {(plan.source, gpu): 1.0 / len(gpus) for gpu in gpus},
            owner=part_of(self._name, "push"),
            purpose="model push",
            traffic=self._traffic,
        )
        if plan.spec.memory == "double-buffered":
            yield self._flow(route, plan.size_bytes * len(gpus))
            switch_s = plan.spec.switch / self._world.topology.speeds.host
            yield self._occupy(device, KernelTime(launch_s=switch_s))
            return
        for size_bytes in self._chunks():
            yield self._flow(route, size_bytes * len(gpus))
            yield self._occupy(device, _written(replica, size_bytes))

    def _chunks(self) -> Iterator[float]:
        """Bytes of each chunk of a GPU; the layers are one of their own."""
        plan = self._plan
        most = plan.spec.chunk_rows * plan.row_bytes
        count = math.ceil(plan.table_bytes / most) if plan.table_bytes else 0
        yield from (plan.table_bytes / count for _ in range(count))
        yield plan.layer_bytes

    def _flow(self, route: BulkRoute, size_bytes: float) -> simpy.Event:
        there = self._world.env.event()

        def arrived(_: Sent) -> None:
            there.succeed()

        BulkFlow(self._world, route, size_bytes, arrived=arrived)
        return there

    def _occupy(self, device: Device, time: KernelTime) -> simpy.Event:
        """Hold the device after the batches that stand in line."""
        env = self._world.env
        start_s = device.join(env.now, time.seconds)
        shares = time.shares() or {HOST: 0.0}
        device.last = Span(None, start_s, device.free_s, shares)
        return env.timeout(device.free_s - env.now)


def _written(replica: ReplicaPlan, size_bytes: float) -> KernelTime:
    """Time to read new rows where they came in and to write them over the old ones."""
    operator = elementwise("model push", bytes_moved=2.0 * size_bytes, precision="fp32")
    return Roofline(replica.accelerator).kernel(operator)
