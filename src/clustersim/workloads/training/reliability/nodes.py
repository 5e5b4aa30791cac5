"""The nodes of a job: places that hold one or miss one, spares, and nodes in repair."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from clustersim.workloads.training.reliability.model import ReliabilityModel

__all__ = ["NodePool"]


class NodePool:
    """Who stands where.

    A job has as many places as nodes, in blocks. A block that was given up has no places; the nodes
    that it had are spares, and may fill places of other blocks.

    Parameters
    ----------
    returned
        Called when a node comes back from repair.

    **Valid when** spare nodes do not fail, and a repaired node is as good as any other.
    """

    def __init__(
        self, env: simpy.Environment, model: ReliabilityModel, *, returned: Callable[[], None]
    ) -> None:
        self._env = env
        self._model = model
        self._returned = returned
        self._working = set(range(len(model.blocks)))
        self._empty: set[int] = set()
        self.spares = model.spares
        self.in_repair = 0

    @property
    def rate(self) -> float:
        """Share of the data-parallel replicas that work."""
        return len(self._working) / len(self._model.blocks)

    @property
    def complete(self) -> bool:
        """Whether there is a block that works, and no empty place."""
        return bool(self._working) and not self._empty

    @property
    def nodes(self) -> int:
        """All nodes, wherever they are."""
        held = sum(self._model.blocks[block] for block in self._working) - len(self._empty)
        return held + self.spares + self.in_repair

    def holds(self, place: int) -> bool:
        """Return whether there is a node in a place."""
        return place not in self._empty and int(self._model.block_of[place]) in self._working

    def fail(self, place: int, *, repair_s: float) -> None:
        """Take the node of a place out, and send it to repair."""
        self._empty.add(place)
        self.in_repair += 1
        self._env.process(self._repair(repair_s))

    def fill(self) -> None:
        """Put spares into empty places."""
        for place in sorted(self._empty)[: self.spares]:
            self._empty.remove(place)
            self.spares -= 1

    def shrink(self) -> None:
        """Give up blocks with empty places, one by one, until their nodes have filled the others."""
        while self._empty:
            block = int(self._model.block_of[min(self._empty)])
            missing = {place for place in self._empty if self._model.block_of[place] == block}
            self._working.remove(block)
            self._empty -= missing
            self.spares += self._model.blocks[block] - len(missing)
            self.fill()

    def can_grow(self) -> bool:
        """Return whether there are spares for a block that was given up."""
        return any(self.spares >= size for block, size in self._idle())

    def grow(self) -> None:
        """Take blocks in again that there are spares for."""
        for block, size in self._idle():
            if self.spares >= size:
                self._working.add(block)
                self.spares -= size

    def _idle(self) -> list[tuple[int, int]]:
        return [(block, size) for block, size in enumerate(self._model.blocks) if block not in self._working]

    def _repair(self, repair_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(repair_s)
        self.in_repair -= 1
        self.spares += 1
        self._returned()
