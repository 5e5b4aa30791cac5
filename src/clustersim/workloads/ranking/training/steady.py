"""Steps that are like those before them: counted, not simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.engine.world import World
from clustersim.workloads.footprint import Footprint
from clustersim.workloads.ranking.training.entry import Entry

__all__ = ["SteadyState"]

_ROUNDING = 1e-9
"""Of a step: times that differ by less are equal."""


class SteadyState:
    """Finds out when steps have become alike, and keeps what one of them leaves behind.

    A step depends on those that reach into it: as many as the pipeline is deep and the host may run ahead.
    Once so many, and one more, have had all their tasks at the same times, counted from their ends, every
    further step has, too, as long as nothing random is in it and the workload has the world to itself.

    Parameters
    ----------
    depth
        Steps that reach into one.

    **Checked by:** tests/workloads/ranking/test_ranking_training_steady.py, against simulating each.
    """

    def __init__(self, world: World, *, depth: int) -> None:
        self._world = world
        self._depth = depth
        self._footprint = Footprint(world)
        self._waiting: list[tuple[Sequence[Entry], float]] = []
        self._before: np.ndarray | None = None
        self._alike = 0
        self._path: Mapping[str, float] = {}
        self._marked_s = 0.0
        self.reached = False
        """Whether further steps need not be simulated."""
        self.step_s = 0.0
        """What each of them takes."""
        self.step_path: Mapping[str, float] = {}
        """Seconds by resource that each of them adds to the critical path."""

    def step_ended(self, entries: Sequence[Entry], end_s: float, path: Mapping[str, float]) -> None:
        """Take down a step, and the seconds by resource on the path to its end."""
        if self.reached or not self._world.undisturbed:
            return
        self._waiting.append((entries, end_s))
        if len(self._waiting) > self._depth:
            self._compare(*self._waiting.pop(0))
        if self._alike > self._depth:
            self._footprint.end()
            self.reached = True
            self.step_s = end_s - self._marked_s
            grown = {name: seconds - self._path.get(name, 0.0) for name, seconds in path.items()}
            self.step_path = {name: seconds for name, seconds in grown.items() if seconds > 0.0}
        elif self._alike == self._depth:
            self._footprint.begin()
            self._path, self._marked_s = dict(path), end_s

    def leave_behind(self, start_s: float) -> int:
        """Leave behind what the kept step left, from a time on; return by how much its rows are shifted."""
        return self._footprint.write_down(start_s, start_s + self.step_s)

    def _compare(self, entries: Sequence[Entry], end_s: float) -> None:
        """Count a step that is like the one before it; begin anew at one that is not."""
        times = _times(entries, end_s)
        before, self._before = self._before, times
        step_s = max(float(np.abs(times).max()), np.finfo(float).tiny) if times is not None else 0.0
        comparable = times is not None and before is not None and before.shape == times.shape
        alike = comparable and float(np.abs(times - before).max()) <= _ROUNDING * step_s  # type: ignore[operator]
        self._alike = self._alike + 1 if alike else 0


def _times(entries: Sequence[Entry], end_s: float) -> np.ndarray | None:
    """Return when tasks of a step were launched, could begin, and ended on each rank, before its end.

    None where some are not known yet.
    """
    rows: list[np.ndarray] = []
    for entry in entries:
        if entry.came_s is None or entry.end_s is None:
            return None
        rows += [entry.launched_s - end_s, entry.came_s - end_s, entry.end_s - end_s]
    return np.array(rows)
