"""Runs a program over all ranks: times of kernels are worked out, collectives meet on the fabric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import simpy

from clustersim.workloads.ranking.training.entry import Entry
from clustersim.workloads.ranking.training.pace import Pace
from clustersim.workloads.ranking.training.program import COMPUTE_STREAM, HostMove, Kernels, Program, Task

if TYPE_CHECKING:
    from clustersim.collectives import CollectiveRecord
    from clustersim.workloads.ranking.training.host_links import Moved

__all__ = ["Interpreter"]


_AHEAD_OF_THE_CLOCK = 4
"""Steps that are worked out before their time, at the most: where nothing holds them up, all would be."""


class Interpreter:
    """Launches task after task on all ranks and tells of each step that has ended.

    What a rank does by itself needs no event: its times follow from those before it. Only a collective waits
    for the clock, as it meets other traffic on the fabric; when it ends, everything that it held up is
    worked out, up to the next one.

    Parameters
    ----------
    program
        What each step does.
    pace
        How much longer each task of each step takes on each rank.
    run
        Starts a collective, whose event has its record as value, or what ranks move to and from their hosts,
        as `clustersim.workloads.ranking.training.host_links.HostLinks.move`.
    begins
        Whether a step is to begin, given its number and the time.
    ended
        Called with the number and entries of each step when it has ended on all ranks.

    **Valid when** all ranks launch the same tasks in the same order, and the GPUs run tasks of one stream one
    after the other. Tasks of different streams do not slow each other down.
    **Checked by:** tests/workloads/ranking/test_ranking_training_exact.py, against plain loops.
    """

    def __init__(
        self,
        env: simpy.Environment,
        program: Program,
        *,
        pace: Pace,
        run: Callable[[Entry], simpy.Event],
        begins: Callable[[int, float], bool],
        ended: Callable[[int, Sequence[Entry]], None],
    ) -> None:
        self._env = env
        self._program = program
        self._pace = pace
        self._run = run
        self._begins = begins
        self._ended = ended
        self._remember = program.run_ahead + program.fill + _AHEAD_OF_THE_CLOCK
        self._done = env.event()
        self._launches = self._order()
        self._next: tuple[int, Task, int] | None = next(self._launches)
        self._step = -program.fill - 1
        self._free_s = np.full(program.ranks, env.now)
        self._before: Entry | None = None
        self._ends: dict[str, Entry] = {}
        self._of_batch: dict[tuple[str, int], Entry] = {}
        self._open: list[Entry] = []
        self._steps: dict[int, list[Entry]] = {}
        self._step_ends: dict[int, Entry] = {}
        self._over = self._told = -1

    def start(self) -> simpy.Event:
        """Begin; return the event of the end of everything."""
        self._advance()
        return self._done

    # ---- the host

    def _order(self) -> Iterator[tuple[int, Task, int]]:
        """Yield tasks and steps in the order of launches; those that fill the pipeline first."""
        step = -self._program.fill
        while True:
            for place, task in enumerate(self._program.tasks):
                if step + task.ahead >= 0:
                    yield place, task, step
            step += 1

    def _launch(self) -> bool:
        """Launch what the host can before it waits for something; return whether that was anything."""
        launched = False
        while self._next is not None and self._host_is_free(self._next[2]):
            place, task, step = self._next
            if step > self._step and not self._begin(step):
                break
            self._add(self._make(place, task, step))
            self._next = next(self._launches)
            launched = True
        return launched

    def _host_is_free(self, step: int) -> bool:
        before = self._before
        if before is not None and before.task.host_waits and before.end_s is None:
            return False
        return step <= self._step or self._may_begin(step)

    def _may_begin(self, step: int) -> bool:
        """Whether the end of the step that the host may not leave behind is known, and the clock near."""
        behind = step - self._program.run_ahead
        gate = self._step_ends.get(behind)
        known = behind < 0 or (gate is not None and gate.end_s is not None)
        return known and self._over >= behind - _AHEAD_OF_THE_CLOCK

    def _begin(self, step: int) -> bool:
        """Begin to launch a step, unless the last one has been launched."""
        if step >= 0 and not self._begins(step, float(self._free_s.max())):
            self._next = None
            return False
        self._step = step
        self._steps[step] = []
        return True

    def _gates(self, step: int) -> tuple[Entry, ...]:
        """What the host waits for before it launches the next task."""
        gates = []
        if self._before is not None and self._before.task.host_waits:
            gates.append(self._before)
        behind = self._step_ends.get(step - self._program.run_ahead)
        if not self._steps[step] and behind is not None:
            gates.append(behind)
        return tuple(gates)

    def _make(self, place: int, task: Task, step: int) -> Entry:
        gates = self._gates(step)
        from_s = self._free_s
        for gate in gates:
            from_s = np.maximum(from_s, cast(np.ndarray, gate.end_s))
        work, batch = task.work, step + task.ahead
        return Entry(
            task,
            step,
            host_before=self._before,
            gates=gates,
            stream_before=self._ends.get(task.stream),
            after=tuple(self._of_batch[key, batch] for key in task.after),
            launched_from_s=from_s,
            launched_s=from_s + self._pace.host(task.launch_s, place, step),
            seconds=self._pace.kernels(work.seconds, place, step) if isinstance(work, Kernels) else None,
        )

    def _add(self, entry: Entry) -> None:
        self._open.append(entry)
        self._steps[entry.step].append(entry)
        self._of_batch[entry.task.key, entry.batch] = entry
        self._ends[entry.task.stream] = entry
        if entry.task.stream == COMPUTE_STREAM:
            self._step_ends[entry.step] = entry
        self._before = entry
        self._free_s = entry.launched_s

    # ---- the streams

    def _advance(self) -> None:
        """Work out all that follows from what has ended."""
        while self._launch() | self._resolve():
            pass
        self._tell_next()
        if self._next is None and not self._open and not self._done.triggered and self._over == self._step:
            self._done.succeed()

    def _resolve(self) -> bool:
        """Work out entries whose beginnings are known; return whether there were any."""
        known = [entry for entry in self._open if not entry.underway and entry.ready]
        for entry in known:
            entry.underway = True
            if isinstance(entry.task.work, Kernels):
                entry.run_kernels()
            elif isinstance(entry.task.work, HostMove):
                self._move(entry)
            else:
                self._meet(entry)
        self._open = [entry for entry in self._open if entry.end_s is None]
        return bool(known)

    def _move(self, entry: Entry) -> None:
        """Start what each rank moves by itself, from when it can begin."""

        def moved(done: simpy.Event) -> None:
            start_s, end_s, shares = cast("Moved", done.value)
            entry.met_each(start_s, end_s, shares)
            self._advance()

        entry.come()
        self._run(entry).callbacks.append(moved)

    def _meet(self, entry: Entry) -> None:
        """Start a collective when its last rank has come."""
        wait_s = float(entry.come().max()) - self._env.now
        if wait_s > 0.0:
            self._env.timeout(wait_s).callbacks.append(lambda _: self._started(entry))
        else:
            self._started(entry)

    def _started(self, entry: Entry) -> None:
        self._run(entry).callbacks.append(lambda done: self._finished(entry, done))

    def _finished(self, entry: Entry, done: simpy.Event) -> None:
        entry.met(cast("CollectiveRecord", done.value))
        self._advance()

    # ---- steps

    def _tell_next(self) -> None:
        """See to it that the next step is told of when it has ended on all ranks."""
        step = self._over + 1
        last = self._step_ends.get(step)
        launched = self._next is None or step < self._next[2]
        if self._told == step or not launched or last is None or last.end_s is None:
            return
        self._told = step
        wait_s = max(0.0, float(last.end_s.max()) - self._env.now)
        self._env.timeout(wait_s).callbacks.append(lambda _: self._tell(step))

    def _tell(self, step: int) -> None:
        self._over = step
        first = step if step else -self._program.fill  # what filled the pipeline belongs to the first step
        self._ended(step, [entry for each in range(first, step + 1) for entry in self._steps[each]])
        self._forget(step - self._remember)
        self._advance()

    def _forget(self, step: int) -> None:
        """Let go of a step that nothing reaches back to."""
        for entry in self._steps.pop(step, ()):
            entry.forget()
            del self._of_batch[entry.task.key, entry.batch]
        self._step_ends.pop(step, None)
