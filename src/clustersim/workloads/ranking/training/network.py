"""How the ranks of a job reach each other and their hosts, on the fabric of a world."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import simpy

from clustersim.collectives import Communicator
from clustersim.collectives.from_spec import communicator_for
from clustersim.engine.fabric import TrafficClass
from clustersim.errors import CannotRunError, Problem
from clustersim.spec.training import CollectiveSpec
from clustersim.topology.hosts import hosts_of
from clustersim.workloads.ranking.training.host_links import HostLinks
from clustersim.workloads.ranking.training.program import Collective, HostMove, Task

if TYPE_CHECKING:
    from clustersim.engine.world import World
    from clustersim.spec.ranking.training import RankingTrainingSpec

__all__ = ["Network"]


class Network:
    """Starts the collectives of a job.

    Each stream of the program has a communicator of its own, as frameworks have process groups: calls of
    one stream follow each other, and those of different streams share links.

    Parameters
    ----------
    spec
        Algorithm of the all-reduce, fidelity and traffic class of all.
    gpus
        In the order of ranks.
    base
        Folder that paths are relative to.
    """

    def __init__(
        self, world: World, spec: RankingTrainingSpec, gpus: Sequence[str], *, base: Path | None = None
    ) -> None:
        self._world = world
        self._spec = spec
        self._gpus = gpus
        self._base = base
        self._traffic = TrafficClass(spec.traffic.priority, spec.traffic.weight)
        self._made: dict[tuple[str, str], Communicator] = {}

    def move(self, came_s: np.ndarray, task: Task) -> simpy.Event:
        """Move bytes between each GPU and its host; see `HostLinks.move`."""
        work = task.work
        assert isinstance(work, HostMove)
        return self._links.move(came_s, work.size_bytes, back=work.back)

    def start(self, task: Task, *, cause: int) -> simpy.Event:
        """Start a collective; the event's value is its record."""
        work = task.work
        assert isinstance(work, Collective)
        communicator = self.communicator(task)
        run = getattr(communicator, work.kind)
        started: simpy.Event = run(work.size, cause=cause, label=task.key)
        return started

    def alone_s(self, task: Task) -> float:
        """Return how long a collective takes where nothing shares its links."""
        work = task.work
        assert isinstance(work, Collective)
        return self.communicator(task).alone_s(work.kind, work.size)

    def communicator(self, task: Task) -> Communicator:
        """Return what a task of a stream runs with; sums of gradients take the algorithm that is named."""
        summed = task.part == "all_reduce"
        key = (task.stream, "sums" if summed else "")
        if key not in self._made:
            self._made[key] = communicator_for(
                self._spec.collective if summed else self._automatic,
                self._world,
                self._gpus,
                owner=self._spec.name,
                lane=f"{self._spec.name}/{task.stream}",
                base=self._base,
                traffic=self._traffic,
            )
        return self._made[key]

    @cached_property
    def _links(self) -> HostLinks:
        return HostLinks(self._world, self._host_pairs, owner=self._spec.name, traffic=self._traffic)

    @cached_property
    def _host_pairs(self) -> tuple[tuple[str, str], ...]:
        """The host of each GPU, and the GPU.

        Raises
        ------
        CannotRunError
            For a node without a host.
        """
        try:
            hosts = hosts_of(self._world.topology, self._gpus)
        except CannotRunError:
            message = "needs hosts, which this topology does not have; set it to false"
            raise CannotRunError(Problem(("input", "copy_to_gpu"), message)) from None
        return tuple((hosts[gpu], gpu) for gpu in self._gpus)

    @property
    def _automatic(self) -> CollectiveSpec:
        """How collectives run that no algorithm is named for."""
        return CollectiveSpec(fidelity=self._spec.collective.fidelity)
