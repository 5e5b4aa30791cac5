"""A training job as a workload: it takes its GPUs, runs iterations and says what they took."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome, Table
from clustersim.workloads.needs import Needs
from clustersim.workloads.span import Span, critical_shares
from clustersim.workloads.step_budget import StepBudget
from clustersim.workloads.training.crew import Crew
from clustersim.workloads.training.economics import Economics, utilisation
from clustersim.workloads.training.folding import Folding, folding
from clustersim.workloads.training.iterations import Iteration, IterationLog
from clustersim.workloads.training.job import TrainingJob, describe_job
from clustersim.workloads.training.lane import Lane
from clustersim.workloads.training.needs import iteration_needs, work_unit
from clustersim.workloads.training.network import Network
from clustersim.workloads.training.pace import Pacer
from clustersim.workloads.training.program import Program
from clustersim.workloads.training.programs import Programs
from clustersim.workloads.training.repetition import Repetition
from clustersim.workloads.training.stragglers import spread_slowdowns
from clustersim.workloads.training.tables import memory_table, passes_table, stages_table
from clustersim.workloads.training.techniques.loading import Feed, Loading
from clustersim.workloads.training.techniques.teacher import Lessons

__all__ = ["TrainingWorkload"]


class TrainingWorkload:
    """A training job on GPUs of its own, on any layout.

    Each lane (the ranks of one pipeline stage that blocking collectives keep in lockstep) runs the
    program that `compile` made of the layout, the schedule and the cost of its layers. What lanes say to
    each other moves over the fabric; what ranks of a lane say to each other too, but where nobody else uses
    its links, where its closed form is part of the pass. Replicas that are provably alike are
    simulated once (`fold`).

    Parameters
    ----------
    spec
        What the scenario says.
    topology
        Where the GPUs are.
    gpus
        In the order that ranks are placed on them.
    base
        Folder that relative paths in the spec are relative to.
    job
        What `describe_job` says, where somebody has asked already.
    sketch
        Leave out what changes nothing for a job that is alone in its world: GPUs and memory are not
        taken, other replicas' sends and the bytes of closed forms are not put on links.

    Raises
    ------
    InputError
        For a model or accelerator that does not exist, and for numbers that do not divide.
    CannotRunError
        Where the model does not fit into the GPUs.

    **Valid when** all ranks have equal work, and iterations begin together on all ranks.
    **Checked by:** tests/workloads/test_training_exact.py and test_training_engine.py;
    `clustersim validate training`, `clustersim validate data-parallel`.
    """

    kind = "training"

    def __init__(
        self,
        spec: TrainingSpec,
        *,
        topology: Topology,
        gpus: tuple[str, ...],
        base: Path | None = None,
        job: TrainingJob | None = None,
        sketch: bool = False,
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.gpus = gpus
        self.job = job or describe_job(spec, topology=topology, gpus=gpus, base=base)
        self._economics = Economics.of(self.job)
        self._base = base
        self._sketch = sketch
        self._log = IterationLog()
        self._budget = StepBudget(spec.start, spec.steps, spec.duration)
        self._world: World | None = None
        self._crew: Crew | None = None
        self._folding: Folding | None = None
        self._complete = False

    def start(self, world: World) -> simpy.Process:
        """Begin at `spec.start`; the process ends after the last optimizer step."""
        self._world = world
        self._folding = folding(self.spec, self.job.layout, world.topology, changes=world.links_change)
        network = Network(
            world,
            self.spec,
            self.job.layout,
            folded=self._folding.folded,
            sketch=self._sketch,
            tokens=self.job.tokens,
            base=self._base,
        )
        self._crew = Crew(world, network, books=not self._sketch)
        self._taught(self._crew)
        programs = Programs(self.job, network, [(lane.stage, lane.replica) for lane in self._crew.lanes])
        return world.env.process(self._run(world, self._crew, programs))

    def progress(self) -> float:
        """Return the fraction of steps, or of the time, that is over."""
        if self._world is None:
            return 0.0
        if self._complete:
            return 1.0
        return self._budget.fraction(len(self._log), self._world.env.now)

    def outcome(self) -> Outcome:
        """Return what complete iterations say; callable at any time."""
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=self.metrics(),
            tables=self._tables(),
            attribution=self.attribution(),
            complete=self._complete,
            notes=(self._folding.note,) if self._folding is not None and self._folding.note else (),
            facts={**self.job.facts(), "work.unit": work_unit(self.job), **self._economics.cost.facts()},
        )

    def attribution(self) -> Mapping[str, float]:
        """Return each resource's share of the complete iterations."""
        return self._log.attribution()

    def metrics(self) -> dict[str, float]:
        """Return means over the complete iterations, and what follows from them."""
        metrics = self._log.metrics()
        metrics["memory_bytes"] = self.job.memory_bytes
        if "samples_per_s" in metrics:
            metrics |= self.job.rates(metrics["samples_per_s"])
            metrics |= utilisation(self.job, metrics["samples_per_s"])
            metrics |= self._needs.metrics(self.job.global_batch / metrics["samples_per_s"])
        return metrics | self._economics.metrics(metrics)

    @cached_property
    def _needs(self) -> Needs:
        return iteration_needs(self.job)

    def _tables(self) -> dict[str, Table]:
        tables = {"iterations": self._log.table(), "memory": memory_table(self.job)}
        if self._crew is not None and len(self._log):
            tables["stages"] = stages_table(self.job, self._crew.lanes)
            tables["passes"] = passes_table(self._crew.lanes)
        return tables

    def _run(self, world: World, crew: Crew, programs: Programs) -> Generator[simpy.Event, Any, None]:
        env = world.env
        yield env.timeout(self.spec.start)  # everybody has planned: whose links are private is known
        turns = yield from self._take_gpus(world)
        pacer = self._pacer(world, crew)
        self._feed(world, crew)
        self._teach(world, crew)
        alike = pacer.steady and self.spec.data_loading is None and self.job.teacher is None
        repeats = alike and self.spec.repeat == "auto"
        repetitions = {kind: Repetition(world) if repeats else None for kind in (False, True)}
        last: Span | None = None
        while self._budget.goes_on(len(self._log), env.now):
            exchanges = programs.exchanges(len(self._log))
            repetition = repetitions[exchanges]
            if repetition is not None and repetition.ready:
                yield from self._repeat(world, repetition)
            else:
                chosen = [programs.of(lane.stage, lane.replica, exchanges=exchanges) for lane in crew.lanes]
                last = yield from self._iterate(world, crew, chosen, pacer, last, repetition)
        self._complete = True
        memory_bytes = self._memory_bytes
        for gpu, turn in turns.items():
            world.gpus[gpu].memory.free(memory_bytes)
            world.gpus[gpu].leave(turn)

    @property
    def _memory_bytes(self) -> float:
        return float(math.ceil(self.job.memory_bytes))  # whole: exact when freed

    def _take_gpus(self, world: World) -> Generator[simpy.Event, Any, dict[str, simpy.Event]]:
        """Wait for all GPUs and take their memory."""
        turns: dict[str, simpy.Event] = {}
        waits = []
        for gpu in () if self._sketch else self.gpus:
            turn = world.gpus[gpu].hold()
            if turn is None:
                turn = world.gpus[gpu].request()
                waits.append(turn)
            turns[gpu] = turn
        if waits:
            yield world.env.all_of(waits)
        memory_bytes = self._memory_bytes
        for gpu in turns:
            world.gpus[gpu].memory.reserve(memory_bytes, who=self.name)
        return turns

    def _taught(self, crew: Crew) -> Sequence[tuple[Lane, LockstepCommunicator]]:
        """Return the lanes that a teacher on GPUs of its own ships logits to, and what ships them."""
        teacher, last = self.job.teacher, self.job.layout.pipeline - 1
        if teacher is None:
            return ()
        lanes = [lane for lane in crew.lanes if lane.stage == last]
        return [(lane, crew.network.lessons(teacher, lane.replica)) for lane in lanes]

    def _teach(self, world: World, crew: Crew) -> None:
        """Let a teacher on GPUs of its own begin."""
        teacher = self.job.teacher
        for lane, communicator in self._taught(crew):
            assert teacher is not None
            ship = partial(communicator.send, teacher.size_bytes, label="logits")
            seconds = crew.network.lesson_s(teacher)
            lane.lessons = Lessons(world.env, seconds=seconds, ahead=teacher.ahead, ship=ship)

    def _feed(self, world: World, crew: Crew) -> None:
        """Begin to read samples."""
        if self.spec.data_loading is None:
            return
        loading = Loading.of(
            self.spec.data_loading, self.job.layout, world.topology, micro_batch=self.spec.micro_batch
        )
        for lane in crew.lanes:
            if lane.stage == 0:
                record = partial(crew.record_samples, lane)
                lane.feed = Feed(loading, start_s=world.env.now, record=record)

    def _pacer(self, world: World, crew: Crew) -> Pacer:
        layout = self.job.layout
        return Pacer(
            [layout.lane_ranks(lane.stage, lane.replica) for lane in crew.lanes],
            slowdown=self.job.slowdown * self._spread(world),
            passes=max(map(len, self.job.orders)),
            jitter=self.spec.kernel_jitter,
            random=world.random(self.name, "jitter"),
        )

    def _spread(self, world: World) -> np.ndarray:
        return spread_slowdowns(
            self.job.layout.ranks, self.spec.gpu_spread, world.random(self.name, "spread")
        )

    def _iterate(
        self,
        world: World,
        crew: Crew,
        programs: Sequence[Program],
        pacer: Pacer,
        before: Span | None,
        repetition: Repetition | None,
    ) -> Generator[simpy.Event, Any, Span | None]:
        """Run one iteration; return what ended it."""
        start_s = world.env.now
        crew.begin_after(before)
        if repetition is not None:
            repetition.begin()
        slowest = yield from crew.iterate(programs, pacer.draw())
        last = slowest.last
        row = Iteration.of(
            crew.lanes,
            iteration=len(self._log),
            start_s=start_s,
            end_s=world.env.now,
            samples=self.job.global_batch,
            trace_row=NO_CAUSE if last is None else last.row,
        )
        path = [] if last is None else list(critical_shares(last, since_s=start_s))
        self._log.add(row, path=path, reduced=crew.reduced())
        if repetition is not None:
            repetition.end(row, path, crew.reduced())
        if last is not None:
            last.cause = None  # the iteration before is written down
        return last

    def _repeat(self, world: World, repetition: Repetition) -> Generator[simpy.Event, Any, None]:
        """Let an iteration pass that is like the one before it."""
        row, path, reduced = repetition.pattern
        start_s = world.env.now
        yield world.env.timeout(row.duration_s)
        trace_row = repetition.write_down(start_s)
        self._log.add(
            row.again(iteration=len(self._log), start_s=start_s, trace_row=trace_row),
            path=path,
            reduced=reduced,
        )
