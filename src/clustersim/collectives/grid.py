"""Ranks on a grid: rings along one axis after another.

Hierarchies (local rank, node, pod) and tori (x, y, z) are the same to a collective: reduce-scatter
along the first axis, of what is left along the second, … and all-gather the way back. What an axis
carries shrinks by the length of those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Phase
from clustersim.collectives.ring import Ring, cycle, ring_phase

__all__ = ["Grid", "Part", "axis_phases"]


class Part(NamedTuple):
    """A part of the bytes that goes along the axes in an order and a direction of its own."""

    order: tuple[int, ...]
    direction: int = 1


@dataclass(frozen=True, eq=False)
class Grid:
    """Ranks by their place on the axes.

    Parameters
    ----------
    ranks
        Array of ranks; its axes are the grid's.
    rails
        Whether rings along all axes but the first take the place on the first as their channel.
    """

    group: Group
    ranks: np.ndarray
    rails: bool = False

    def rings(self, part: Part, number: int, parts: int, stage: int) -> Iterator[Ring]:
        """Return the rings of one part along its axis of a stage, one per line of the grid."""
        before, axis = part.order[:stage], part.order[stage]
        volume = 1 / parts / prod(self.ranks.shape[one] for one in before)
        lines = np.moveaxis(self.ranks, axis, -1)
        gpus = self.group.gpus
        for place in np.ndindex(lines.shape[:-1]):
            order = [gpus[rank] for rank in lines[place]][:: part.direction]
            channel = place[0] if self.rails and axis else 0
            fixed = [*place[:axis], 0, *place[axis:]]
            owned = self._owned(before, axis, fixed, part.direction, number, parts)
            yield Ring(cycle(self.group, order, channel=channel), volume, owned)

    def _owned(
        self, before: Sequence[int], axis: int, fixed: Sequence[int], direction: int, number: int, parts: int
    ) -> Callable[[int], Sequence[int]]:
        """Blocks that end with a member of a line: those of all ranks that agree with it so far."""

        def owned(position: int) -> Sequence[int]:
            index: list[int | slice] = [slice(None)] * self.ranks.ndim
            for one in before:
                index[one] = fixed[one]
            index[axis] = position if direction > 0 else self.ranks.shape[axis] - 1 - position
            return [int(rank) * parts + number for rank in self.ranks[tuple(index)].ravel()]

        return owned

    def phase(self, parts: Sequence[Part], stage: int, *, reduces: bool, gathers: bool) -> Phase:
        """Return the phase in which each part goes round the rings of its axis of a stage."""
        found = [
            ring for number, part in enumerate(parts) for ring in self.rings(part, number, len(parts), stage)
        ]
        return ring_phase(found, reduces=reduces, gathers=gathers)


def axis_phases(grid: Grid, kind: Kind, parts: Sequence[Part]) -> tuple[Phase, ...]:
    """Return the phases of an all-reduce, reduce-scatter or all-gather along the axes.

    An all-reduce turns round on the last axis of each part.
    """
    stages = range(grid.ranks.ndim)
    if kind.name == "reduce_scatter":
        return tuple(grid.phase(parts, stage, reduces=True, gathers=False) for stage in stages)
    if kind.name == "all_gather":
        return tuple(grid.phase(parts, stage, reduces=False, gathers=True) for stage in reversed(stages))
    return (
        *(grid.phase(parts, stage, reduces=True, gathers=False) for stage in stages[:-1]),
        grid.phase(parts, stages[-1], reduces=True, gathers=True),
        *(grid.phase(parts, stage, reduces=False, gathers=True) for stage in reversed(stages[:-1])),
    )
