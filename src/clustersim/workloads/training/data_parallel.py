"""Synchronous data-parallel training: one process drives all ranks in lockstep."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import simpy

from clustersim.collectives.from_spec import communicator_for
from clustersim.engine.fabric import TrafficClass
from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology
from clustersim.workloads.base import Outcome
from clustersim.workloads.training.gradients import GradientStream
from clustersim.workloads.training.iterations import Iteration, IterationLog
from clustersim.workloads.training.job import TrainingJob, describe_job
from clustersim.workloads.training.plan import IterationPlan
from clustersim.workloads.training.ranks import Pace, paces

__all__ = ["TrainingWorkload"]


class TrainingWorkload:
    """A data-parallel job on GPUs of its own.

    Every replica computes forward and backward, layer by layer; gradient buckets are
    all-reduced on a communication stream as soon as the slowest rank has them, while the
    backward pass goes on; the optimizer runs after the last bucket. Ranks are alike, so
    one compute lane (`NAME/compute`) and one communication lane (`NAME/comm`) stand for all.

    Parameters
    ----------
    spec
        What the scenario says.
    topology
        Where the GPUs are.
    gpus
        One per replica, in rank order.
    base
        Folder that relative paths in the spec are relative to.

    Raises
    ------
    InputError
        For a model or accelerator that does not exist, and for numbers that do not divide.
    CannotRunError
        Where the model does not fit into a GPU.

    **Valid when** replicas are identical but for jitter, compute does not slow down while a
    collective runs beside it, and input data is always there.
    **Checked by:** tests/workloads/test_training_exact.py and
    `clustersim validate data-parallel`.
    """

    kind = "training"

    def __init__(
        self, spec: TrainingSpec, *, topology: Topology, gpus: tuple[str, ...], base: Path | None = None
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.gpus = gpus
        self._base = base
        self.job: TrainingJob = describe_job(spec, topology=topology, gpus=gpus, base=base)
        self._log = IterationLog()
        self._world: World | None = None
        self._stream: GradientStream | None = None
        self._bus_factor = 0.0
        self._complete = False

    @property
    def plan(self) -> IterationPlan:
        """The phases and buckets of one iteration."""
        return self.job.plan

    def start(self, world: World) -> simpy.Process:
        """Begin at `spec.start`; the process ends after the last optimizer step."""
        self._world = world
        if self.plan.buckets:
            communicator = communicator_for(
                self.spec.collective,
                world,
                self.gpus,
                owner=self.name,
                lane=f"{self.name}/comm",
                base=self._base,
                traffic=TrafficClass(self.spec.traffic.priority, self.spec.traffic.weight),
            )
            self._stream = GradientStream(world.env, communicator)
            self._bus_factor = communicator.bus_bytes_factor("all_reduce")
        return world.env.process(self._run(world))

    def progress(self) -> float:
        """Return the fraction of steps, or of the time, that is over."""
        if self._world is None:
            return 0.0
        if self._complete:
            return 1.0
        if self.spec.steps is not None:
            return len(self._log) / self.spec.steps
        assert self.spec.duration is not None
        elapsed_s = self._world.env.now - self.spec.start
        return min(max(elapsed_s / self.spec.duration, 0.0), 1.0) if self.spec.duration else 1.0

    def outcome(self) -> Outcome:
        """Return what complete iterations say; callable at any time."""
        return Outcome(
            name=self.name,
            kind=self.kind,
            metrics=self._metrics(),
            tables={"iterations": self._log.table()},
            attribution=self._log.attribution(),
            complete=self._complete,
            facts=self.job.facts(),
        )

    def _metrics(self) -> dict[str, float]:
        metrics = self._log.metrics()
        metrics["memory_bytes"] = self.job.cost.memory.total_bytes
        if "samples_per_s" in metrics:
            metrics |= self.job.rates(metrics["samples_per_s"])
        return metrics

    def _run(self, world: World) -> Generator[simpy.Event, Any, None]:
        env = world.env
        if self.spec.start > 0:
            yield env.timeout(self.spec.start)
        turns = [world.gpus[gpu].request() for gpu in self.gpus]
        yield env.all_of(turns)
        memory_bytes = float(math.ceil(self.job.cost.memory.total_bytes))  # whole: exact when freed
        for gpu in self.gpus:
            world.gpus[gpu].memory.reserve(memory_bytes, who=self.name)
        random = world.random(self.name, "jitter")
        pace = paces(self.plan, ranks=len(self.gpus), jitter=self.spec.kernel_jitter, random=random)
        cause = NO_CAUSE
        while self._goes_on(env.now):
            cause = yield from self._iterate(world, next(pace), cause)
        self._complete = True
        for gpu, turn in zip(self.gpus, turns, strict=True):
            world.gpus[gpu].memory.put(memory_bytes)
            world.gpus[gpu].release(turn)

    def _goes_on(self, now_s: float) -> bool:
        if self.spec.steps is not None:
            return len(self._log) < self.spec.steps
        assert self.spec.duration is not None
        return now_s < self.spec.start + self.spec.duration

    def _iterate(self, world: World, pace: Pace, cause: int) -> Generator[simpy.Event, Any, int]:
        """Run one iteration; return the trace row of its optimizer step."""
        env, stream = world.env, self._stream
        start_s = env.now
        row = yield from self._compute(world, pace, cause)
        computed_s = env.now
        waits = stream is not None and stream.busy
        if stream is not None and waits:
            yield stream.drained()
            row = stream.reduced[-1].record.row
        exposed_s = env.now - computed_s
        row = yield from self._phase(
            world, "optimizer", self.plan.optimizer.seconds, self.plan.optimizer.shares, row
        )
        self._record(pace, start_s, env.now - start_s, exposed_s, row=row, waits=waits)
        return row

    def _compute(self, world: World, pace: Pace, cause: int) -> Generator[simpy.Event, Any, int]:
        """Run the passes; hand each bucket to the communication stream when it is complete."""
        plan, row = self.plan, cause
        first_backward = len(plan.phases) - len(plan.backward)
        due = iter(plan.buckets)
        bucket = next(due, None)
        if self._stream is not None:
            self._stream.clear()
        for index, phase in enumerate(plan.phases):
            row = yield from self._phase(world, phase.label, pace.seconds[index], pace.shares[index], row)
            while bucket is not None and self._stream is not None and bucket.phase + first_backward == index:
                self._stream.put(bucket.size_bytes, phase=index, cause=row)
                bucket = next(due, None)
        return row

    def _phase(
        self, world: World, label: str, seconds: float, shares: Mapping[str, float], cause: int
    ) -> Generator[simpy.Event, Any, int]:
        start_s = world.env.now
        yield world.env.timeout(seconds)
        lane = f"{self.name}/compute"
        return world.trace.record("compute", lane, label, start_s, world.env.now, cause=cause, shares=shares)

    def _record(
        self, pace: Pace, start_s: float, duration_s: float, exposed_s: float, *, row: int, waits: bool
    ) -> None:
        reduced = [] if self._stream is None else self._stream.reduced
        optimizer = self.plan.optimizer
        host_s = pace.host_s + optimizer.host_s
        iteration = Iteration(
            iteration=len(self._log),
            start_s=start_s,
            duration_s=duration_s,
            compute_s=pace.forward_s + pace.backward_s + optimizer.seconds - host_s,
            exposed_communication_s=exposed_s,
            host_s=host_s,
            waiting_s=pace.waiting_s,
            forward_s=pace.forward_s,
            backward_s=pace.backward_s,
            optimizer_s=optimizer.seconds,
            communication_s=sum(item.record.end_s - item.record.start_s for item in reduced),
            samples_per_s=self.job.global_batch / duration_s,
            trace_row=row,
        )
        self._log.add_collectives(reduced, bus_factor=self._bus_factor)
        self._log.add(iteration, path=self._critical_path(pace, waits=waits))

    def _critical_path(self, pace: Pace, *, waits: bool) -> Iterator[Mapping[str, float]]:
        """Shares of the activities that each let the next one start, back from the optimizer."""
        yield self.plan.optimizer.shares
        last_phase = len(pace.shares) - 1
        if waits and self._stream is not None:
            for item in reversed(self._stream.reduced):
                yield item.record.shares
                if item.phase is not None:
                    last_phase = item.phase
                    break
        yield from pace.shares[: last_phase + 1]
