"""A pool in a world: devices with their copy engines, workers, replicas."""

from __future__ import annotations

from collections.abc import Callable

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.owners import part_of
from clustersim.engine.world import World
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.bulk_flow import BulkRoute
from clustersim.workloads.ranking.inference.plan import PoolPlan, ReplicaPlan
from clustersim.workloads.ranking.inference.pool import RankingPool
from clustersim.workloads.ranking.inference.replica.channel import Channel
from clustersim.workloads.ranking.inference.replica.worker import Device, Worker

__all__ = ["open_pool"]


def open_pool(
    world: World, plan: PoolPlan, *, name: str, traffic: TrafficClass, answered: Callable[[int], None]
) -> RankingPool:
    """Take the memory of the GPUs and make the replicas' workers.

    Parameters
    ----------
    name
        Of the service, or of one of its stages; its bytes and random streams are called so.
    traffic
        How its bytes compete on the links.
    answered
        Called with the row of each query that is done.
    """
    for replica in plan.replicas:
        for gpu in replica.gpus:
            world.gpus[gpu].memory.reserve(replica.memory.total, who=name)
    return RankingPool(
        world.env,
        workers=[_workers(world, plan, replica, name, traffic) for replica in plan.replicas],
        timers=[replica.timer for replica in plan.replicas],
        rules=plan.rules,
        routing=plan.spec.routing,
        answered=answered,
        streams=lambda source: world.random(*name.split("/"), source),
    )


def _workers(
    world: World, plan: PoolPlan, replica: ReplicaPlan, name: str, traffic: TrafficClass
) -> list[Worker]:
    devices = [
        Device(gpus, _channels(world, gpus, name, traffic), workers=plan.instances)
        for gpus in replica.devices
    ]
    # Devices by turns, so that the first workers are on different ones.
    return [
        Worker(turn * len(devices) + place, device)
        for turn in range(plan.instances)
        for place, device in enumerate(devices)
    ]


def _channels(world: World, gpus: tuple[str, ...], name: str, traffic: TrafficClass) -> dict[str, Channel]:
    """Copy engines of a device. Its links are its own: other devices of the service are strangers to them."""
    hosts = hosts_of(world.topology, gpus)
    part = 1.0 / len(gpus)
    pairs = {
        "in": {(hosts[gpu], gpu): part for gpu in gpus},
        "out": {(gpu, hosts[gpu]): part for gpu in gpus},
    }
    owner = part_of(name, gpus[0].replace("/", "."))
    return {
        direction: Channel(
            world, BulkRoute.of(world, parts, owner=owner, purpose=f"copy {direction}", traffic=traffic)
        )
        for direction, parts in pairs.items()
    }
