"""Who talks over what: one communicator for each group of ranks, pair of ranks, and GPU with its host."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import simpy

from clustersim.collectives import Communicator
from clustersim.collectives.from_spec import communicator_for
from clustersim.engine.fabric import TrafficClass
from clustersim.spec.chakra import ChakraSpec
from clustersim.spec.training import CollectiveSpec
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.chakra.graph import Joint

if TYPE_CHECKING:
    from clustersim.engine.world import World

__all__ = ["Communicators"]

_ROOTED = ("broadcast", "reduce", "gather", "scatter")


class Communicators:
    """Makes communicators on first use.

    Parameters
    ----------
    gpus
        Of each rank.
    base
        Folder that the path of an algorithm is relative to.
    """

    def __init__(
        self, world: World, spec: ChakraSpec, gpus: tuple[str, ...], *, base: Path | None = None
    ) -> None:
        self._world = world
        self._spec = spec
        self._gpus = gpus
        self._base = base
        self._traffic = TrafficClass(spec.traffic.priority, spec.traffic.weight)
        self._plain = CollectiveSpec(fidelity=spec.collective.fidelity)
        self._made: dict[tuple[str, ...], Communicator] = {}

    def plan(self, joints: Iterable[Joint]) -> None:
        """Let each choose its routes, so that other workloads know which links are not theirs alone."""
        for joint in joints:
            kind = "send_recv:0:1" if joint.kind == "send_recv" else joint.kind
            if len(set(joint.group)) > 1:
                self._of(joint).alone_s(f"{kind}:0" if kind in _ROOTED else kind, joint.size_bytes)

    def beside(self, joint: Joint) -> float:
        """Return the fraction of each GPU that a collective takes from kernels; sends take none."""
        if not self._spec.contention or joint.kind == "send_recv":
            return 0.0
        topology = self._world.topology
        nodes = {topology.node_of(self._gpus[rank]) for rank in joint.group}
        accelerator = topology.accelerator(self._gpus[joint.group[0]])
        reach: Literal["scale_up", "scale_out"] = "scale_up" if len(nodes) == 1 else "scale_out"
        return 1.0 - 1.0 / accelerator.slowdown_beside_collective(reach)

    def run(self, joint: Joint, *, cause: int, label: str) -> simpy.Event:
        """Begin a collective or a send; the event's value is its `CollectiveRecord`."""
        communicator = self._of(joint)
        if joint.kind == "send_recv":
            return communicator.send_recv(joint.size_bytes, source=0, target=1, cause=cause, label=label)
        if joint.kind == "barrier":
            return communicator.barrier(cause=cause, label=label)
        start = getattr(communicator, joint.kind)
        event: simpy.Event = start(joint.size_bytes, cause=cause, label=label)
        return event

    def to_host(self, rank: int, size_bytes: float, *, store: bool, cause: int, label: str) -> simpy.Event:
        """Move bytes between a GPU and its host's memory.

        Raises
        ------
        CannotRunError
            If its node has no host.
        """
        gpu = self._gpus[rank]
        pair = (gpu, hosts_of(self._world.topology, [gpu])[gpu])
        communicator = self._made_for(pair if store else pair[::-1], f"rank {rank}/host", self._plain)
        return communicator.send_recv(size_bytes, source=0, target=1, cause=cause, label=label)

    def _of(self, joint: Joint) -> Communicator:
        gpus = tuple(self._gpus[rank] for rank in joint.group)
        if joint.kind == "send_recv":
            source, target = joint.group
            return self._made_for(gpus, f"rank {source}/sends to rank {target}", self._plain)
        return self._made_for(gpus, f"{_ranks(joint.group)}/collectives", self._spec.collective)

    def _made_for(self, gpus: tuple[str, ...], lane: str, spec: CollectiveSpec) -> Communicator:
        key = (lane, *gpus)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = communicator_for(
                spec,
                self._world,
                gpus,
                owner=self._spec.name,
                lane=f"{self._spec.name}/{lane}",
                base=self._base,
                traffic=self._traffic,
            )
        return found


def _ranks(group: tuple[int, ...]) -> str:
    """Name a group in the trace."""
    steps = {after - before for before, after in pairwise(group)}
    if len(group) > 2 and len(steps) == 1:
        step = steps.pop()
        return f"ranks {group[0]} to {group[-1]}" + (f" by {step}" if step != 1 else "")
    return "ranks " + ", ".join(map(str, group))
