"""Iterations that are like the one before them: counted, not simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clustersim.engine.fabric import RouteSet
from clustersim.engine.trace import NO_CAUSE, Activity
from clustersim.engine.world import World
from clustersim.workloads.training.iterations import Iteration

__all__ = ["Repetition"]

_Where = tuple[str, str, int]
"""Owner, traffic and link."""

_Pattern = tuple[Iteration, Sequence[Mapping[str, float]], tuple[float, float]]


class Repetition:
    """Keeps what one iteration left behind, and leaves the same behind again.

    An iteration that starts with nothing under way, with nothing random in it and with the whole world
    to itself (`World.undisturbed`), takes as long as any other such. Counted are: bytes and saturation
    of links, who was held back by which, and the activities of the trace.

    Parameters
    ----------
    world
        Where the iterations run.

    **Checked by:** tests/workloads/test_training_repetition.py, against simulating each.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: _Pattern | None = None
        self._rows: list[Activity] = []
        self._first_row = 0
        self._start_s = 0.0
        self._moved: dict[int, float] = {}
        self._moves: list[tuple[RouteSet, float]] = []
        self._waited: dict[_Where, tuple[float, float]] = {}
        self._waits: dict[_Where, tuple[float, float]] = {}

    @property
    def ready(self) -> bool:
        """Whether an iteration has been kept and still stands for the next one."""
        return self._kept is not None and self._world.undisturbed

    @property
    def pattern(self) -> _Pattern:
        """The iteration, its path and what it reduced."""
        assert self._kept is not None
        return self._kept

    def begin(self) -> None:
        """Note the state before an iteration."""
        self._first_row = len(self._world.trace)
        self._start_s = self._world.env.now
        if self._world.undisturbed:
            self._moved = {each.index: moved for each, moved in self._world.fabric.moved_bytes()}
            self._waited = self._waits_so_far()

    def end(self, row: Iteration, path: Sequence[Mapping[str, float]], reduced: tuple[float, float]) -> None:
        """Keep an iteration that has just ended."""
        world = self._world
        if not world.undisturbed:
            return
        self._kept = row, path, reduced
        self._rows = world.trace.rows[self._first_row :]
        self._moves = [
            (each, moved - self._moved.get(each.index, 0.0))
            for each, moved in world.fabric.moved_bytes()
            if moved > self._moved.get(each.index, 0.0)
        ]

        self._waits = {
            where: (full_s - before[0], protocol_s - before[1])
            for where, (full_s, protocol_s) in self._waits_so_far().items()
            for before in [self._waited.get(where, (0.0, 0.0))]
        }

    def _waits_so_far(self) -> dict[_Where, tuple[float, float]]:
        by_place = self._world.link_waits.by_place
        return {where: (wait.full_s, wait.protocol_s) for where, wait in by_place.items()}

    def write_down(self, start_s: float) -> int:
        """Leave behind what the kept iteration left behind, from `start_s`; return its last trace row."""
        world = self._world
        end_s = world.env.now
        for route_set, size_bytes in self._moves:
            world.fabric.account(route_set, size_bytes, start_s, end_s)
        for (owner, traffic, link), (full_s, protocol_s) in self._waits.items():
            world.link_waits.add(owner, traffic, link, until_s=end_s, full_s=full_s, protocol_s=protocol_s)
        shift_s, shift_rows = start_s - self._start_s, len(world.trace) - self._first_row
        for activity in self._rows:
            cause = activity.cause
            world.trace.record(
                activity.kind,
                activity.lane,
                activity.label,
                activity.start_s + shift_s,
                activity.end_s + shift_s,
                cause=cause + shift_rows if cause >= self._first_row else len(world.trace) - 1,
                shares=activity.shares,
            )
        if self._kept is None or self._kept[0].trace_row < 0:
            return NO_CAUSE
        return self._kept[0].trace_row + shift_rows
