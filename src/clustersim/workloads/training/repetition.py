"""Iterations that are like the one before them: counted, not simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.workloads.footprint import Footprint
from clustersim.workloads.training.iterations import Iteration

__all__ = ["Repetition"]

_Pattern = tuple[Iteration, Sequence[Mapping[str, float]], tuple[float, float]]


class Repetition:
    """Keeps what one iteration left behind, and leaves the same behind again.

    An iteration that starts with nothing under way, with nothing random in it and with the whole world
    to itself (`World.undisturbed`), takes as long as any other such. What is counted is in
    `clustersim.workloads.footprint`.

    Parameters
    ----------
    world
        Where the iterations run.

    **Checked by:** tests/workloads/test_training_repetition.py, against simulating each.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: _Pattern | None = None
        self._footprint = Footprint(world)

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
        self._footprint.begin()

    def end(self, row: Iteration, path: Sequence[Mapping[str, float]], reduced: tuple[float, float]) -> None:
        """Keep an iteration that has just ended."""
        if self._world.undisturbed:
            self._kept = row, path, reduced
            self._footprint.end()

    def write_down(self, start_s: float) -> int:
        """Leave behind what the kept iteration left behind, from `start_s`; return its last trace row."""
        shift_rows = self._footprint.write_down(start_s, self._world.env.now)
        if self._kept is None or self._kept[0].trace_row < 0:
            return NO_CAUSE
        return self._kept[0].trace_row + shift_rows
