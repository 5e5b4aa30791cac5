"""One replica of a pool from its start to its end, and what its GPUs are held for meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from clustersim.engine.fabric import TrafficClass
from clustersim.engine.world import World
from clustersim.spec.fleet import StartupSpec
from clustersim.workloads.inference.fleet.fleet_log import FleetEventKind, FleetLog
from clustersim.workloads.inference.fleet.weight_loading import load_weights
from clustersim.workloads.inference.replica.engine import ReplicaEngine
from clustersim.workloads.inference.replica.layout import Replica
from clustersim.workloads.inference.requests import Request

__all__ = ["Member", "State"]


class State(Enum):
    """What a replica is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Member:
    """A replica's GPUs and engine, and its state.

    Its GPUs are held, and its memory taken, from the begin of its start until it stops, failures and
    their repair included.

    Parameters
    ----------
    world
        Clock and GPUs.
    name
        `service.replica`.
    number
        Of the replica in the service.
    replica, engine
        Where it is, and what serves there.
    startup, engine_start_s
        How it starts: first the engine takes so long, then it reads its weights.
    traffic
        How its weights compete on the links.
    log
        Where its events are written.
    """

    def __init__(
        self,
        world: World,
        *,
        name: str,
        number: int,
        replica: Replica,
        engine: ReplicaEngine,
        startup: StartupSpec,
        engine_start_s: float,
        traffic: TrafficClass,
        log: FleetLog,
    ) -> None:
        self._world = world
        self._name = name
        self.number = number
        self.replica = replica
        self.engine = engine
        self._startup = startup
        self._engine_start_s = engine_start_s
        self._traffic = traffic
        self._log = log
        self.state = State.STOPPED
        self.on_ready: list[Callable[[Member], None]] = []
        """Called whenever it has become ready."""
        self._held_s = 0.0
        self._held_from_s = 0.0

    def gpu_seconds(self, now_s: float) -> float:
        """Return how long its GPUs were held until now, all together."""
        running_s = now_s - self._held_from_s if self.state is not State.STOPPED else 0.0
        return (self._held_s + running_s) * len(self.replica.gpus)

    @property
    def serves(self) -> bool:
        """Whether it has requests to lose."""
        return self.state in (State.READY, State.DRAINING)

    def open(self) -> None:
        """Be ready at once, as the replicas are that a service begins with."""
        self._take_gpus()
        self._become_ready()

    def start(self) -> None:
        """Begin to start, or take requests again where it was about to end."""
        if self.state is State.DRAINING:
            self._become_ready()
            return
        self._take_gpus()
        self._begin_start("start")

    def recover(self) -> None:
        """Begin to start again after a failure."""
        self._begin_start("recover")

    def drain(self) -> None:
        """Take no more requests; whoever sees that it has answered all of them stops it."""
        self.state = State.DRAINING
        self._note("drain")

    def stop(self) -> None:
        """Give the GPUs back; its caches are lost."""
        self.engine.abort()
        self._give_gpus_back()
        self._note("stop")

    def fail(self) -> list[Request]:
        """Lose everything; return the requests that it had."""
        self.state = State.FAILED
        self._note("fail")
        return self.engine.abort()

    def close(self) -> None:
        """Give the GPUs back, if it has any, because the service ends."""
        if self.state is not State.STOPPED:
            self._give_gpus_back()

    def _begin_start(self, kind: FleetEventKind) -> None:
        self.state = State.STARTING
        self._note(kind)
        timer = self._world.env.timeout(self._engine_start_s)
        timer.callbacks.append(lambda _: self._load())

    def _load(self) -> None:
        load_weights(
            self._world,
            self.replica,
            self._startup,
            name=self._name,
            traffic=self._traffic,
            loaded=self._loaded,
        )

    def _loaded(self) -> None:
        if self.state is State.STARTING:
            self.engine.resume()
            self._become_ready()

    def _become_ready(self) -> None:
        self.state = State.READY
        self._note("ready")
        for tell in self.on_ready:
            tell(self)

    def _take_gpus(self) -> None:
        self._held_from_s = self._world.env.now
        for gpu in self.replica.gpus:
            self._world.gpus[gpu].memory.reserve(self.replica.memory.total_bytes, who=f"'{self._name}'")

    def _give_gpus_back(self) -> None:
        self._held_s += self._world.env.now - self._held_from_s
        self.state = State.STOPPED
        for gpu in self.replica.gpus:
            self._world.gpus[gpu].memory.free(self.replica.memory.total_bytes)

    def _note(self, kind: FleetEventKind) -> None:
        self._log.note(self._world.env.now, kind, self.number)
