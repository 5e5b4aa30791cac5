"""A pool in a world: devices with their copy engines, workers, replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clustersim.collectives import Communicator
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.owners import part_of
from clustersim.engine.world import World
from clustersim.workloads.bulk_flow import BulkRoute
from clustersim.workloads.ranking.inference.plan import PoolPlan, ReplicaPlan
from clustersim.workloads.ranking.inference.pool import RankingPool
from clustersim.workloads.ranking.inference.replica.ask import RowServer, ServerClient
from clustersim.workloads.ranking.inference.replica.channel import Channel
from clustersim.workloads.ranking.inference.replica.exchange import ExchangeChannel
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
    opening = _Opening(world, plan, name, traffic)
    return RankingPool(
        world.env,
        workers=[opening.workers(replica) for replica in plan.replicas],
        timers=[replica.timer for replica in plan.replicas],
        rules=plan.rules,
        routing=plan.spec.routing,
        answered=answered,
        streams=lambda source: world.random(*name.split("/"), source),
    )


class _Opening:
    """Makes the devices of a pool in a world."""

    def __init__(self, world: World, plan: PoolPlan, name: str, traffic: TrafficClass) -> None:
        self._world = world
        self._plan = plan
        self._name = name
        self._traffic = traffic
        self._servers = [RowServer(host) for host in plan.servers]

    def workers(self, replica: ReplicaPlan) -> list[Worker]:
        """Return the workers of a replica; devices by turns, so that the first are on different ones."""
        devices = [self._device(gpus, replica.hosts) for gpus in replica.devices]
        return [
            Worker(turn * len(devices) + place, device)
            for turn in range(self._plan.instances)
            for place, device in enumerate(devices)
        ]

    def _device(self, gpus: tuple[str, ...], hosts: Mapping[str, str]) -> Device:
        # Links of a device are its own: other devices of the service are strangers to them.
        owner = part_of(self._name, gpus[0].replace("/", "."))
        return Device(
            gpus,
            self._copy_engines(gpus, hosts, owner),
            exchange=self._exchange(gpus, owner) if len(gpus) > 1 else None,
            client=self._client(hosts[gpus[0]], owner) if self._servers else None,
            workers=self._plan.instances,
        )

    def _copy_engines(
        self, gpus: tuple[str, ...], hosts: Mapping[str, str], owner: str
    ) -> dict[str, Channel]:
        if self._plan.spec.dense_on == "cpu":
            return {}
        part = 1.0 / len(gpus)
        pairs = {
            "in": {(hosts[gpu], gpu): part for gpu in gpus},
            "out": {(gpu, hosts[gpu]): part for gpu in gpus},
        }
        return {
            direction: Channel(
                self._world,
                BulkRoute.of(
                    self._world, parts, owner=owner, purpose=f"copy {direction}", traffic=self._traffic
                ),
            )
            for direction, parts in pairs.items()
        }

    def _exchange(self, gpus: tuple[str, ...], owner: str) -> ExchangeChannel:
        lane = f"{self._name}/exchange"
        return ExchangeChannel(Communicator(self._world, gpus, owner=owner, lane=lane, traffic=self._traffic))

    def _client(self, host: str, owner: str) -> ServerClient:
        return ServerClient(self._world, host, self._servers, owner=owner, traffic=self._traffic)
