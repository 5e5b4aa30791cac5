"""The communicators of a training job: one for each dimension of each stage or lane, made on first use."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import simpy

from clustersim.collectives import CollectiveRecord, Communicator
from clustersim.collectives.from_spec import communicator_for, lockstep_for
from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.collectives.token_exchange import TokenExchange
from clustersim.engine.fabric import TrafficClass
from clustersim.spec.training import CollectiveSpec, TrainingSpec
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.training.closed_form import Alone
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.program import Launch
from clustersim.workloads.training.techniques.teacher import Teacher

if TYPE_CHECKING:
    from clustersim.engine.world import World

__all__ = ["Network", "Place", "Reach"]

Place = tuple[str, int, int]
"""Dimension, stage and replica; 0 where all are meant."""

Reach = Literal["lane", "stage", "ends", "job"]
"""Which lanes meet: one alone, all of a stage, those of the first and last stage, or all."""

_WITHIN_LANES = frozenset({"tensor", "context", "expert", "expert_tensor"})
_TO_HOSTS = frozenset({"host_down", "host_up"})
_TEACHER = -1
"""In place of a stage that sends."""

_SHARDS = frozenset({"shard", "expert_shard"})
_REPLICAS = _SHARDS | {"data", "expert_data", "replica_shard", "expert_replica_shard"}


class Network:
    """Groups of ranks of a job on the fabric of a world.

    Parameters
    ----------
    spec
        Algorithm, fidelity and traffic class; named algorithms are for what replicas say to each other,
        everything else takes what is fastest.
    folded
        All replicas are alike and simulated once: what one lane says stands for all, and runs in
        the groups of all replicas side by side.
    sketch
        Where they are folded, leave out what other replicas say within their lanes and to their stages.
    tokens
        How tokens get to their experts and back; None sends every copy on its own.
    base
        Folder that paths are relative to.
    """

    def __init__(
        self,
        world: World,
        spec: TrainingSpec,
        layout: Layout,
        *,
        folded: bool,
        sketch: bool = False,
        tokens: TokenExchange | None = None,
        base: Path | None = None,
    ) -> None:
        self.world = world
        self.layout = layout
        self.folded = folded
        self._one_lane = sketch or not folded
        self._spec = spec
        self._tokens = tokens
        self._base = base
        self._traffic = TrafficClass(spec.traffic.priority, spec.traffic.weight)
        self._within_lanes = _WITHIN_LANES | _TO_HOSTS | (_SHARDS if layout.zero == 3 else set())
        self._made: dict[tuple[str, int, int], Communicator] = {}
        self._sends: dict[tuple[int, int, int], LockstepCommunicator] = {}
        self._beside: dict[tuple[str, int, int], float] = {}
        self._alone: dict[tuple[str, int, int, str, float], Alone] = {}

    # ---- who meets

    def reach(self, dimension: str) -> Reach:
        """Return which lanes take part in a collective of a dimension."""
        if dimension in self._within_lanes:
            return "lane"
        if dimension == "embedding":
            return "ends"
        return "job" if dimension == "model" else "stage"

    def parties(self, dimension: str) -> int:
        """Return how many lanes that are simulated take part."""
        lanes = 1 if self.folded else self.layout.lanes_per_stage
        counts = {"lane": 1, "stage": lanes, "ends": 2 * lanes, "job": lanes * self.layout.pipeline}
        return counts[self.reach(dimension)]

    # ---- what they run

    def communicator(self, dimension: str, stage: int, replica: int) -> Communicator:
        """Return the communicator of all groups of a dimension that run side by side."""
        reach = self.reach(dimension)
        key = (dimension, stage if reach in ("lane", "stage") else 0, replica if reach == "lane" else 0)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._make(*key)
        return found

    def sends(self, stage: int, other: int, replica: int) -> LockstepCommunicator:
        """Return what a lane sends to another stage with."""
        key = (stage, other, replica)
        found = self._sends.get(key)
        if found is None:
            replicas = [replica] if self._one_lane else range(self.layout.lanes_per_stage)
            pairs = [pair for each in replicas for pair in self.layout.exchange(stage, other, each)]
            found = self._sends[key] = lockstep_for(
                self._automatic,
                self.world,
                pairs,
                owner=self._spec.name,
                lane=f"{self.lane_name(stage, replica)}/sends to stage {other}",
                base=self._base,
                traffic=self._traffic,
            )
        return found

    def lessons(self, teacher: Teacher, replica: int) -> LockstepCommunicator:
        """Return what ships logits to the last stage of a replica, or of all where they are folded."""
        stage = self.layout.pipeline - 1
        key = (stage, _TEACHER, replica)
        if key not in self._sends:
            replicas = [replica] if self._one_lane else range(self.layout.lanes_per_stage)
            self._sends[key] = lockstep_for(
                self._automatic,
                self.world,
                [pair for each in replicas for pair in teacher.pairs(self.layout, each)],
                owner=self._spec.name,
                lane=f"{self.lane_name(stage, replica)}/logits",
                base=self._base,
                traffic=self._traffic,
            )
            self._sends[key].alone_s("send_recv:0:1", teacher.size_bytes)
        return self._sends[key]

    def lesson_s(self, teacher: Teacher) -> float:
        """Return what a teacher takes from one micro-batch of a student to the next."""
        seconds = teacher.kernels_s
        if teacher.tensor > 1:
            within = lockstep_for(
                self._automatic,
                self.world,
                teacher.groups,
                owner=self._spec.name,
                lane=f"{self._spec.name}/teacher",
                base=self._base,
                traffic=self._traffic,
            )
            seconds += sum(
                each.count * within.alone_s(each.collective, each.size_bytes) for each in teacher.messages
            )
        return teacher.students * seconds

    def run(
        self, dimension: str, collective: str, *, stage: int, replica: int, size_bytes: float, repeat: int
    ) -> Callable[[int], simpy.Event]:
        """Return what starts a collective, given the trace row of its cause."""
        if dimension == "model":
            return lambda cause: self._run_norm(size_bytes, cause)
        communicator = self.communicator(dimension, stage, replica)
        start = getattr(communicator, collective)
        label = f"{dimension.replace('_', ' ')} {collective.replace('_', '-')}"
        return lambda cause: start(size_bytes, repeat=repeat, cause=cause, label=label)

    # ---- closed forms

    @property
    def closed_forms(self) -> bool:
        """Whether closed forms stand for what the fabric would do."""
        return self._spec.collective.fidelity == "macro"

    def alone(
        self, dimension: str, collective: str, size_bytes: float, *, stage: int, replica: int
    ) -> Alone | None:
        """Return the time of a collective alone; None where another workload uses its links as well."""
        communicator = self.communicator(dimension, stage, replica)
        key = (dimension, stage, replica, collective, size_bytes)
        found = self._alone.get(key)
        if found is None:
            found = self._alone[key] = Alone(
                communicator.alone_s(collective, size_bytes),
                communicator.alone_shares(collective, size_bytes),
                1.0 / (1.0 - self.beside(dimension, stage, replica)),
            )
        return found if self.closed_forms and communicator.private else None

    def beside(self, dimension: str, stage: int, replica: int) -> float:
        """Return the fraction of each GPU that a collective of a dimension takes from kernels."""
        if dimension == "model" or dimension in _TO_HOSTS:
            return 0.0
        key = (dimension, stage, replica)
        if key not in self._beside:
            self._beside[key] = self._taken(self._groups(dimension, stage, replica))
        return self._beside[key]

    def bus_bytes(self, launch: Launch, stage: int) -> float:
        """Return the bytes that nccl-tests divides by time to get bus bandwidth; 0 but for replicas."""
        if launch.dimension not in _REPLICAS:
            return 0.0
        factor = self.communicator(launch.dimension, stage, 0).bus_bytes_factor(launch.collective)
        return launch.repeat * launch.size_bytes * factor

    def lane_name(self, stage: int, replica: int) -> str:
        """Return what the streams of a lane begin with in the trace."""
        parts = [self._spec.name]
        if not self.folded and self.layout.lanes_per_stage > 1:
            parts.append(f"replica{replica}")
        if self.layout.pipeline > 1:
            parts.append(f"stage{stage}")
        return "/".join(parts)

    def communicators(self) -> Iterator[tuple[Place, Communicator]]:
        """Yield all that have been made, with where: dimension (`pipeline` for sends), stage and replica."""
        yield from self._made.items()
        for (stage, _, replica), communicator in self._sends.items():
            yield ("pipeline", stage, replica), communicator

    # ---- making them

    @cached_property
    def _automatic(self) -> CollectiveSpec:
        """How collectives run that no algorithm is named for."""
        return CollectiveSpec(fidelity=self._spec.collective.fidelity)

    def _groups(self, dimension: str, stage: int, replica: int) -> tuple[tuple[str, ...], ...]:
        if dimension in _TO_HOSTS:
            return self._host_pairs(dimension, stage, replica)
        if self.reach(dimension) == "lane" and self._one_lane:
            return self.layout.lane_groups(dimension, stage, replica)
        return self.layout.groups(dimension, stage)

    def _host_pairs(self, dimension: str, stage: int, replica: int) -> tuple[tuple[str, ...], ...]:
        layout = self.layout
        replicas = [replica] if self._one_lane else range(layout.lanes_per_stage)
        gpus = [layout.gpu(rank) for each in replicas for rank in layout.lane_ranks(stage, each)]
        pairs = hosts_of(self.world.topology, gpus).items()
        return tuple(pair if dimension == "host_down" else pair[::-1] for pair in pairs)

    def _taken(self, groups: Sequence[Sequence[str]]) -> float:
        topology = self.world.topology
        inside = len({topology.node_of(gpu) for gpu in groups[0]}) == 1
        accelerator = topology.accelerator(groups[0][0])
        return 1.0 - 1.0 / accelerator.slowdown_beside_collective("scale_up" if inside else "scale_out")

    def _make(self, dimension: str, stage: int, replica: int) -> Communicator:
        own = self.reach(dimension) == "lane"
        name = self._spec.name
        stage_name = f"{name}/stage{stage}" if self.layout.pipeline > 1 else name
        return lockstep_for(
            self._spec.collective if dimension in _REPLICAS else self._automatic,
            self.world,
            self._groups(dimension, stage, replica),
            owner=name,
            lane=f"{self.lane_name(stage, replica) if own else stage_name}/{dimension}",
            base=self._base,
            traffic=self._traffic,
            **({"algorithm": self._tokens} if dimension == "expert" and self._tokens else {}),
        )

    @cached_property
    def _norm(self) -> list[Communicator]:
        """Those who hold different parts of a replica's gradients; where ZeRO divides them, replicas too."""
        layout = self.layout
        replica = [
            layout.gpu(rank) for stage in range(layout.pipeline) for rank in layout.lane_ranks(stage, 0)
        ]
        groups = [replica]
        if layout.zero:
            # Workers of sparse synchronisation have norms of their own.
            dimension = "data" if self._spec.local_steps is None else "shard"
            groups.append(list(layout.groups(dimension, 0)[0]))
        name = self._spec.name
        return [
            communicator_for(
                self._automatic,
                self.world,
                group,
                owner=name,
                lane=f"{name}/norm",
                base=self._base,
                traffic=self._traffic,
            )
            for group in groups
            if len(group) > 1
        ]

    def _run_norm(self, size_bytes: float, cause: int) -> simpy.Event:
        done = self.world.env.event()
        self.world.env.process(self._reduce_norm(size_bytes, done, cause))
        return done

    def _reduce_norm(
        self, size_bytes: float, done: simpy.Event, cause: int
    ) -> Generator[simpy.Event, Any, None]:
        """Run the small all-reduces one after the other, as one collective."""
        start_s, shares = self.world.env.now, dict[str, float]()
        for communicator in self._norm:
            record: CollectiveRecord = yield communicator.all_reduce(
                4.0, cause=cause, label="norm all-reduce"
            )
            cause = record.row
            for resource, seconds in record.shares.items():
                shares[resource] = shares.get(resource, 0.0) + seconds
        done.succeed(CollectiveRecord(cause, start_s, self.world.env.now, shares))
