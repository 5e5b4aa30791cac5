"""What a stretch of a workload's time leaves behind in the world, to be left behind again."""

from __future__ import annotations

from clustersim.engine.fabric import RouteSet
from clustersim.engine.trace import Activity
from clustersim.engine.world import World

__all__ = ["Footprint"]

_Where = tuple[str, str, int]
"""Owner, traffic and link."""


class Footprint:
    """Bytes and saturation of links, who was held back by which, and activities, from `begin` to `end`.

    Parameters
    ----------
    world
        Where the stretch goes by.

    **Valid when** the workload has the world to itself: what others do would be counted, too.
    **Checked by:** tests/workloads/test_training_repetition.py, against simulating each stretch.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows: list[Activity] = []
        self._first_row = 0
        self._start_s = 0.0
        self._moved: dict[int, float] = {}
        self._moves: list[tuple[RouteSet, float]] = []
        self._waited: dict[_Where, tuple[float, float]] = {}
        self._waits: dict[_Where, tuple[float, float]] = {}

    def begin(self) -> None:
        """Note the state before a stretch."""
        self._first_row = len(self._world.trace)
        self._start_s = self._world.env.now
        if self._world.undisturbed:
            self._moved = {each.index: moved for each, moved in self._world.fabric.moved_bytes()}
            self._waited = self._waits_so_far()

    def end(self) -> None:
        """Keep what there is more of than at its beginning."""
        world = self._world
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

    def write_down(self, start_s: float, end_s: float) -> int:
        """Leave the same behind again, between two times; return by how many rows it lies behind."""
        world = self._world
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
        return shift_rows
