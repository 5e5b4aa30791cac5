"""Training of a ranking model as a workload: it takes its GPUs, runs steps and says what they took."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from clustersim.engine.world import World
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome
from clustersim.workloads.ranking.training.causes import Moment, cause_of
from clustersim.workloads.ranking.training.critical_path import CriticalPath, shares_between
from clustersim.workloads.ranking.training.entry import Entry
from clustersim.workloads.ranking.training.interpreter import Interpreter
from clustersim.workloads.ranking.training.job import RankingJob, describe_job
from clustersim.workloads.ranking.training.ledger import account
from clustersim.workloads.ranking.training.measures import metrics_of, tables_of
from clustersim.workloads.ranking.training.network import Network
from clustersim.workloads.ranking.training.notes import job_notes
from clustersim.workloads.ranking.training.pace import Pace
from clustersim.workloads.ranking.training.program import COMPUTE_STREAM, HostMove
from clustersim.workloads.ranking.training.steady import SteadyState
from clustersim.workloads.ranking.training.step_log import StepLog, StepRow
from clustersim.workloads.ranking.training.tracer import Tracer, watched_ranks
from clustersim.workloads.running_cost import RunningCost
from clustersim.workloads.step_budget import StepBudget
from clustersim.workloads.training.stragglers import gpu_slowdowns, spread_slowdowns

__all__ = ["RankingTrainingWorkload"]


_FILLING_STEPS = 1
"""Steps that fill the pipeline at the beginning; they are not counted."""


class RankingTrainingWorkload:
    """A training job of a ranking model on GPUs of its own.

    Every rank has the dense part and a part of the tables. All run the program that `compile_step` made of
    the plan and of what the framework runs beside what; collectives meet on the fabric of the world.

    Parameters
    ----------
    spec
        What the scenario says.
    topology
        Where the GPUs are.
    gpus
        In the order of ranks.
    base
        Folder that relative paths in the spec are relative to.

    Raises
    ------
    InputError
        For names that do not exist and numbers that do not divide.
    CannotRunError
        Where the job does not fit into the GPUs.

    **Valid when** training is synchronous, and all GPUs are of one kind.
    **Checked by:** tests/workloads/ranking; `clustersim validate ranking`.
    """

    kind = "ranking-training"

    def __init__(
        self,
        spec: RankingTrainingSpec,
        *,
        topology: Topology,
        gpus: tuple[str, ...],
        base: Path | None = None,
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.gpus = gpus
        self.job: RankingJob = describe_job(spec, topology=topology, gpus=gpus, base=base)
        self._notes = tuple(job_notes(self.job))
        self.running_cost = RunningCost.of(spec.economics, self.job.accelerator)
        self._base = base
        slow = gpu_slowdowns(spec.stragglers, topology=topology, gpus=gpus)
        self._slowdown = np.array([slow[gpu] for gpu in gpus])
        self._log = StepLog(samples=self.job.samples, ranks=len(gpus))
        self._path = CriticalPath()
        self._filled: Mapping[str, float] = {}
        self._steady: SteadyState | None = None
        self._kept: StepRow | None = None
        self._repeats = self._repeated = 0
        self._budget = StepBudget(spec.start, spec.steps, spec.duration)
        self._world: World | None = None
        self._tracer: Tracer | None = None
        self._network: Network | None = None
        self._ended_s = np.zeros(len(gpus))
        self._complete = False

    def start(self, world: World) -> simpy.Process:
        """Begin at `spec.start`; the process ends after the last step."""
        self._world = world
        self._network = Network(world, self.spec, self.gpus, base=self._base)
        busy_s = self.job.work.lookup.seconds + self.job.work.update.seconds
        watched = watched_ranks(busy_s)
        self._tracer = Tracer(
            world, self.name, ranks=len(self.gpus), watched=watched, busiest=int(busy_s.argmax())
        )
        return world.env.process(self._run(world))

    def progress(self) -> float:
        """Return the fraction of steps, or of the time, that is over."""
        if self._world is None:
            return 0.0
        if self._complete:
            return 1.0
        return self._budget.fraction(len(self._log), self._world.env.now)

    def outcome(self) -> Outcome:
        """Return what complete steps say; callable at any time."""
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=metrics_of(self.job, self._log, self.running_cost),
            tables=tables_of(self.job, self._log),
            attribution=self._attribution(),
            complete=self._complete,
            notes=self._notes,
            facts={**self.job.facts(), **self.running_cost.facts()},
        )

    def _attribution(self) -> Mapping[str, float]:
        if not len(self._log):
            return {}
        seconds = self._path.seconds(since_s=self.spec.start)
        for name, each in self._steady.step_path.items() if self._steady is not None else ():
            seconds[name] = seconds.get(name, 0.0) + self._repeated * each
        return shares_between(self._filled, seconds)

    def _run(self, world: World) -> Generator[simpy.Event, Any, None]:
        yield world.env.timeout(self.spec.start)
        turns = yield from self._take_gpus(world)
        pace, program = self._pace(world), self.job.program
        if pace.steady and self.spec.repeat == "auto":
            self._steady = SteadyState(world, depth=program.fill + program.run_ahead)
        interpreter = Interpreter(
            world.env,
            program,
            pace=pace,
            run=self._start_collective,
            begins=self._begins,
            ended=self._step_ended,
        )
        yield interpreter.start()
        assert self._tracer is not None
        self._tracer.write((), now_s=world.env.now)
        yield from self._repeat(world)
        self._complete = True
        for rank, (gpu, turn) in enumerate(turns.items()):
            world.gpus[gpu].memory.free(self._memory_bytes(rank))
            world.gpus[gpu].leave(turn)

    def _memory_bytes(self, rank: int) -> float:
        return float(math.ceil(self.job.memory.total_bytes[rank]))  # whole: exact when freed

    def _take_gpus(self, world: World) -> Generator[simpy.Event, Any, dict[str, simpy.Event]]:
        """Wait for all GPUs and take their memory."""
        turns: dict[str, simpy.Event] = {}
        waits = []
        for gpu in self.gpus:
            turn = world.gpus[gpu].hold()
            if turn is None:
                turn = world.gpus[gpu].request()
                waits.append(turn)
            turns[gpu] = turn
        if waits:
            yield world.env.all_of(waits)
        for rank, gpu in enumerate(turns):
            world.gpus[gpu].memory.reserve(self._memory_bytes(rank), who=self.name)
        return turns

    def _pace(self, world: World) -> Pace:
        spec, ranks = self.spec, len(self.gpus)
        return Pace(
            len(self.job.program.tasks),
            kernel_slowdown=self._slowdown,
            host_slowdown=spread_slowdowns(ranks, spec.host.spread, world.random(self.name, "hosts")),
            kernel_jitter=spec.kernel_jitter,
            host_jitter=spec.host.jitter,
            random=(world.random(self.name, "jitter"), world.random(self.name, "host jitter")),
        )

    def _begins(self, step: int, now_s: float) -> bool:
        """Whether a step is to begin; once steps are alike, work out how many are left to count."""
        left = self._left(step, now_s)
        if self._steady is None or not self._steady.reached:
            return left > 0
        self._repeats = left
        return False

    def _left(self, step: int, now_s: float) -> int:
        """Return how many steps are left, with one that would begin at a time; of unlike ones 1 or 0."""
        if self.spec.steps is not None:
            return max(0, self.spec.steps + _FILLING_STEPS - step)
        assert self.spec.duration is not None
        left_s = self.spec.start + self.spec.duration - now_s
        if left_s <= 0.0:
            return 0
        alike = self._steady is not None and self._steady.reached
        return math.ceil(left_s / self._steady.step_s) if alike else 1  # type: ignore[union-attr]

    def _repeat(self, world: World) -> Generator[simpy.Event, Any, None]:
        """Let the steps pass that are like one before them."""
        steady, row = self._steady, self._kept
        if steady is None or row is None:
            return
        for number in range(self._repeats):
            start_s = self._log.ended_s  # what ran ahead of it may have gone on since
            yield world.env.timeout(steady.step_s)
            shift_rows = steady.leave_behind(start_s)
            trace_row = row.trace_row if row.trace_row < 0 else row.trace_row + shift_rows
            self._log.add(replace(row, start_s=start_s, end_s=start_s + steady.step_s, trace_row=trace_row))
            self._repeated = number + 1

    def _start_collective(self, entry: Entry) -> simpy.Event:
        assert self._network is not None
        assert self._tracer is not None
        if isinstance(entry.task.work, HostMove):
            assert entry.came_s is not None
            return self._network.move(entry.came_s, entry.task)
        cause = cause_of(Moment(entry, entry.last_rank))
        return self._network.start(entry.task, cause=self._tracer.row(cause))

    def _step_ended(self, step: int, entries: Sequence[Entry]) -> None:
        """Take down a step."""
        assert self._tracer is not None
        assert self._world is not None
        last = [entry for entry in entries if entry.task.stream == COMPUTE_STREAM][-1]
        assert last.end_s is not None
        self._tracer.write(entries, now_s=self._world.env.now)
        moment = Moment(last, int(last.end_s.argmax()))
        before_s, self._ended_s = self._ended_s, last.end_s
        self._path.reach(moment)
        trace_row = self._tracer.row(moment)
        if step < _FILLING_STEPS:
            self._filled = self._path.seconds(since_s=self.spec.start)
        else:
            since_s, seconds = float(before_s.max()), account(entries, before_s)
            row = StepRow(since_s, moment.end_s, seconds, moment.rank, trace_row)
            self._log.add(row)
            if self._steady is not None and not self._steady.reached:
                path = self._path.seconds(since_s=self.spec.start)
                self._steady.step_ended(entries, moment.end_s, path)
                self._kept = row
