"""The engine loop of one replica: plan a step, let it take its time, book what it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

import simpy

from clustersim.cost.roofline import KernelTime
from clustersim.cost.step_timer import DecodeRun, StepTimer
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH, NO_CAUSE, QUEUEING
from clustersim.engine.world import World
from clustersim.workloads.inference.replica.skip_ahead import run_seconds, steps_until
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.replica.tensor_parallel import TensorParallel
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.scheduler import Completed, Scheduler, StepPlan

__all__ = ["ReplicaEngine"]

Steps = Generator[simpy.Event, Any, None]


class _Segment:
    """A run of alike steps under way; `steps` may be cut while it runs."""

    __slots__ = ("done", "first_s", "growth_s", "start_s", "steps")

    def __init__(self, env: simpy.Environment, first_s: float, growth_s: float, steps: int) -> None:
        self.start_s = env.now
        self.first_s = first_s
        self.growth_s = growth_s
        self.steps = steps
        self.done = env.event()

    def wake_at_end(self, env: simpy.Environment) -> None:
        """Have `done` happen at the end of the last step as it stands now."""
        end_s = self.start_s + run_seconds(self.steps, first_s=self.first_s, growth_s=self.growth_s)
        timer = env.timeout(max(0.0, end_s - env.now))
        timer.callbacks.append(self._ring)

    def _ring(self, _: simpy.Event) -> None:
        if not self.done.triggered:
            self.done.succeed()


class ReplicaEngine:
    """Serves the requests of one replica, step by step or, where steps are alike, run by run.

    Parameters
    ----------
    world
        Clock and trace.
    name
        `service.replica`, the owner of the lane `name/engine`.
    arrivals_lane
        Where the trace notes the arrivals that wake an idle engine.
    scheduler, timer
        What runs in a step, and how long that takes on the GPUs.
    network
        All-reduces of a step; None for a replica of one GPU.
    skip_ahead
        Whether runs of alike decode steps are computed in closed form.
    on_finish
        Called with each request at the time of its last token.
    """

    def __init__(
        self,
        world: World,
        *,
        name: str,
        arrivals_lane: str,
        scheduler: Scheduler,
        timer: StepTimer,
        network: TensorParallel | None,
        skip_ahead: bool,
        on_finish: Callable[[Request], None],
    ) -> None:
        self.log = StepLog()
        self.scheduler = scheduler
        self._env = world.env
        self._trace = world.trace
        self._lane = f"{name}/engine"
        self._arrivals_lane = arrivals_lane
        self._timer = timer
        self._network = network
        self._step_limit = 2**62 if skip_ahead else 1
        self._on_finish = on_finish
        self._segment: _Segment | None = None
        self._idle: simpy.Event | None = None
        self._cause = NO_CAUSE
        if network is not None and network.private:
            network.on_shared(self._cut)
        self.process = self._env.process(self._serve())

    def submit(self, request: Request) -> None:
        """Take a request that arrives now; a run under way is cut if it may be admitted."""
        admissible = self.scheduler.submit(request)
        if self._idle is not None:
            self._cause = self._record_arrival(request)
            self._idle.succeed()
            self._idle = None
        elif admissible:
            self._cut()

    def _cut(self) -> None:
        """End the run under way at its next step boundary."""
        segment = self._segment
        if segment is None or segment.steps == 1:
            return
        elapsed_s = self._env.now - segment.start_s
        steps = steps_until(elapsed_s, first_s=segment.first_s, growth_s=segment.growth_s)
        if steps < segment.steps:
            segment.steps = steps
            segment.wake_at_end(self._env)

    def _serve(self) -> Steps:
        while True:
            plan = self.scheduler.next_step()
            if plan is None:
                self._idle = self._env.event()
                yield self._idle
                continue
            self._note_admissions(plan)
            if self._network is None or self._network.private:
                yield from self._run_alone(plan)
            else:
                yield from self._run_on_fabric(plan, self._network)

    def _run_alone(self, plan: StepPlan) -> Steps:
        """Run a plan whose time depends on nobody else: once, or as often as it stays the same."""
        run = self._time_of(plan)
        steps = 1 if plan.chunks else self.scheduler.steps_ahead(min(run.steps, self._step_limit))
        network = self._network.alone(plan.tokens) if self._network else None
        first_s = run.first.seconds + (network.seconds if network else 0.0)
        self._segment = segment = _Segment(self._env, first_s, run.growth.seconds, steps)
        segment.wake_at_end(self._env)
        kv_start_blocks = self.scheduler.cache.used_blocks
        yield segment.done
        self._segment = None
        steps = segment.steps
        seconds = _seconds_of_run(run, steps)
        if network and self._network:
            seconds.update((resource, steps * value) for resource, value in network.shares.items())
            self._network.account(plan.tokens, steps, segment.start_s, self._env.now)
        self._cause = self._record(plan, steps, segment.start_s, seconds)
        self._book(plan, steps, segment.start_s, seconds, kv_start_blocks)

    def _run_on_fabric(self, plan: StepPlan, network: TensorParallel) -> Steps:
        """Run one step: compute, then its all-reduces as a flow among others."""
        start_s = self._env.now
        kv_start_blocks = self.scheduler.cache.used_blocks
        run = self._time_of(plan)
        yield self._env.timeout(run.first.seconds)
        computing = _seconds_of_run(run, 1)
        computed = self._record(plan, 1, start_s, computing)
        record = yield network.run(plan.tokens, cause=computed)
        self._cause = record.row
        self._book(plan, 1, start_s, {**computing, **record.shares}, kv_start_blocks)

    def _time_of(self, plan: StepPlan) -> DecodeRun:
        if not plan.chunks:
            return self._timer.decode_run(decodes=plan.decodes, context_sum=plan.context_sum)
        chunks = [(chunk.new, chunk.past) for chunk in plan.chunks]
        time = self._timer.step(
            decodes=plan.decodes, context_sum=plan.context_sum, chunks=chunks, sampled=plan.sampled
        )
        return DecodeRun(time, KernelTime.ZERO, 1)

    def _note_admissions(self, plan: StepPlan) -> None:
        """Write down which row of the log requests begin with, or lose their blocks at."""
        row = len(self.log)
        for request in self.scheduler.preempted:
            request.preempted_row = row
        for request, _, past in plan.chunks:
            if past == 0 and request.first_row < 0:
                request.first_row = row
                request.admitted_s = self._env.now
            elif past == 0:
                request.waits.append((request.preempted_row, row))

    def _book(
        self, plan: StepPlan, steps: int, start_s: float, seconds: Mapping[str, float], kv_start_blocks: int
    ) -> None:
        """Bring scheduler, log and requests to the end of the steps that ran."""
        done = self.scheduler.complete(plan, steps)
        self._finish_requests(done, row=len(self.log))
        self.log.append(
            start_s=start_s,
            end_s=self._env.now,
            steps=steps,
            batch=plan.batch,
            tokens=plan.tokens * steps,
            kv_start_blocks=kv_start_blocks,
            kv_end_blocks=done.peak_blocks,
            queued=len(self.scheduler.queue),
            seconds=seconds,
        )

    def _finish_requests(self, done: Completed, *, row: int) -> None:
        now_s = self._env.now
        for request in done.answered:
            if math.isnan(request.first_token_s):
                request.first_token_s = now_s
        for request in done.finished:
            request.finish_s = now_s
            request.last_row = row
            request.last_activity = self._cause
            self._on_finish(request)

    def _record(self, plan: StepPlan, steps: int, start_s: float, seconds: Mapping[str, float]) -> int:
        if not self._trace.keep:
            return NO_CAUSE
        prompts = sum(chunk.new for chunk in plan.chunks)
        parts = (
            f"prefill {prompts} tokens" if prompts else "",
            f"decode {plan.decodes}" if plan.decodes else "",
            f"{steps} steps" if steps > 1 else "",
        )
        label = ", ".join(part for part in parts if part)
        return self._trace.record(
            "compute", self._lane, label, start_s, self._env.now, cause=self._cause, shares=seconds
        )

    def _record_arrival(self, request: Request) -> int:
        now_s = self._env.now
        return self._trace.record(
            "queue",
            self._arrivals_lane,
            f"request {request.index} arrives",
            now_s,
            now_s,
            shares={QUEUEING: 0.0},
        )


def _seconds_of_run(run: DecodeRun, steps: int) -> dict[str, float]:
    """Split the GPU and host seconds of a run over resources."""
    pairs = 0.5 * steps * (steps - 1)
    first, growth = run.first, run.growth
    return {
        COMPUTE: steps * first.compute_s + pairs * growth.compute_s,
        MEMORY_BANDWIDTH: steps * first.memory_s + pairs * growth.memory_s,
        HOST: steps * first.launch_s + pairs * growth.launch_s,
    }
