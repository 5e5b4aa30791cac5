"""The engine loop of a replica whose layers are split into pipeline stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import simpy

from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving.step_timer import DecodeRun
from clustersim.engine.trace import QUEUEING
from clustersim.workloads.inference.replica.engine import ReplicaEngine, Steps
from clustersim.workloads.inference.replica.network import StepNetwork
from clustersim.workloads.inference.replica.run import OwnSeconds, Run
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.plan import StepPlan

__all__ = ["PipelinedEngine"]


class PipelinedEngine(ReplicaEngine):
    """Up to `pipeline` steps under way, each with requests of its own, one behind the other.

    A step is planned as soon as one may begin: after the end of another, or when a request arrives
    that is in none. It passes through the stages in the order of planning; at each it waits until
    the stage is done with the step before.

    *Equation.* start(b, s) = max(end(b, s − 1), end(b − 1, s)), end = start + stage time.

    Steps are taken one by one, whatever `skip_ahead` says.

    **Valid when** activations are sent while the next stage waits for them, and the sender too, as
    Vidur has it.

    **Source:** Kwon et al., SOSP 2023, and Agrawal et al., "Vidur", MLSys 2024 (as many batches in
    flight as stages).

    **Checked by:** tests/workloads/test_inference_vidur_replay.py.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stages = self.scheduler.pipeline
        self._runs: dict[int, Run] = {}
        """Steps under way, by slot."""
        self._slot_of: dict[int, int] = {}
        """Slot in which each request that decodes was last."""
        self._last_end_s = 0.0
        self._stage_free_s = [0.0] * stages
        self._stages = [simpy.Resource(self._env) for _ in range(stages)]

    def abort(self) -> list[Request]:
        """Fail; see `ReplicaEngine.abort`."""
        self._runs.clear()
        self._stage_free_s = [0.0] * len(self._stages)
        self._stages = [simpy.Resource(self._env) for _ in self._stages]
        return super().abort()

    def _look_at(self, request: Request, *, admissible: bool) -> None:
        if not self._runs and self._planning is None and self.alive:
            self._trace.arrived(request)
        self._come_back()

    def _come_back(self) -> None:
        if len(self._runs) < len(self._stages) and self._planning is None and self.alive:
            self._plan_soon()

    def _plan(self) -> None:
        """Start steps as long as there are requests for them and fewer than `pipeline` under way."""
        scheduler = self.scheduler
        while len(self._runs) < len(self._stages):
            plan = scheduler.next_step()
            if scheduler.started_loading:
                self._start_loading(scheduler.started_loading)
            if plan is None:
                break
            self._books.changes(plan, scheduler)
            self._start(plan)
        self._note_if_drained()

    def _start(self, plan: StepPlan) -> None:
        kv_blocks = self.scheduler.cache.used_blocks
        slot = next(slot for slot in range(len(self._stages)) if slot not in self._runs)
        run = Run(plan, _ONE_STEP, start_s=self._env.now, kv_start_blocks=kv_blocks, slot=slot)
        self._runs[slot] = run
        self._note_moves(plan, slot)
        if plan.swapped_out_blocks or plan.swapped_in_blocks:
            self._env.process(self._swap_first(run))
        else:
            self._start_run(run)

    def _note_moves(self, plan: StepPlan, slot: int) -> None:
        """Write down which requests decode in another slot than before: since their last token."""
        self._slot_of.update((request.index, 0) for request in self.scheduler.resumed)
        for request in plan.lane.requests:
            if self._slot_of.get(request.index) != slot:
                self._slot_of[request.index] = slot
                self.log.join(request.index, math.nan, slot=slot)

    def _answer(self, request: Request, slot: int) -> None:
        super()._answer(request, slot)
        self._slot_of[request.index] = slot

    def _finish(self, request: Request, row: int) -> None:
        self._slot_of.pop(request.index, None)
        super()._finish(request, row)

    def _start_run(self, run: Run) -> None:
        times = self._stage_times(run.plan)
        run.time = DecodeRun(sum(times, start=KernelTime.ZERO), KernelTime.ZERO, 1)
        run.first_s = run.time.first.seconds
        if self.network is None or self.network.private:
            self._pass_alone(run, times)
        else:
            self._env.process(self._pass_on_fabric(run, times, self.network))
        if self._on_chunk is not None:
            for chunk in run.plan.chunks:
                self._on_chunk(chunk.request, chunk.new, run.first_s)

    def _stage_times(self, plan: StepPlan) -> tuple[KernelTime, ...]:
        return self._timer.stage_seconds(
            decodes=plan.decodes,
            context_sum=plan.context_sum,
            chunks=[(chunk.new, chunk.past) for chunk in plan.chunks],
            sampled=plan.sampled,
        )

    def _pass_alone(self, run: Run, times: tuple[KernelTime, ...]) -> None:
        """Compute when the step leaves the last stage: nobody else has a say in it."""
        plan, end_s = run.plan, self._env.now
        if self.network is not None:
            run.network = self.network.alone(plan.tokens, plan.sampled)
        for stage, time in enumerate(times):
            seconds = time.seconds
            if self.network is not None:
                seconds += self.network.stage_alone(plan.tokens, stage, plan.sampled).seconds
            end_s = self._stage_free_s[stage] = max(end_s, self._stage_free_s[stage]) + seconds
        run.wake = wake = self._env.timeout(end_s - self._env.now)
        wake.callbacks.append(lambda _: self._leave_alone(run))

    def _leave_alone(self, run: Run) -> None:
        if self._under_way(run):
            self._end_alone(run)

    def _pass_on_fabric(self, run: Run, times: tuple[KernelTime, ...], network: StepNetwork) -> Steps:
        """Go through the stages one by one; the exchanges of each are flows among others."""
        plan, shares = run.plan, dict[str, float]()
        for stage, time in enumerate(times):
            with self._stages[stage].request() as turn:
                yield turn
                yield self._env.timeout(max(0.0, self._stage_free_s[stage] - self._env.now))
                yield self._env.timeout(time.seconds)
                if not self._under_way(run):
                    return
                cause = self._trace.cause
                record = yield network.run_stage(plan.tokens, stage, cause=cause, sampled=plan.sampled)
                if not self._under_way(run):
                    return
                for resource, seconds in record.shares.items():
                    shares[resource] = shares.get(resource, 0.0) + seconds
        self._end(run, run.own_seconds(), shares)

    def _under_way(self, run: Run) -> bool:
        return self._runs.get(run.slot) is run

    def _end_alone(self, run: Run) -> None:
        plan = run.plan
        if run.network is not None and self.network is not None:
            self.network.account(plan.tokens, 1, run.start_s, self._env.now, sampled=plan.sampled)
        self._end(run, run.own_seconds(), run.network_seconds())

    def _end(self, run: Run, own_s: OwnSeconds, network_s: Mapping[str, float] | None) -> None:
        """Book a step, and start those that may begin.

        Steps overlap; in log and trace each has the time since the end of the one before, with its
        seconds in proportion, so that they add up to the time that passed. What is left of it the
        step waited for stages that were held by others.
        """
        begin_s = max(run.start_s, self._last_end_s)
        passed_s, part = self._env.now - begin_s, 1.0
        if self._env.now > run.start_s:
            part = passed_s / (self._env.now - run.start_s)
        run.start_s, run.first_s, self._last_end_s = begin_s, passed_s, self._env.now
        own_s = (part * own_s[0], part * own_s[1], part * own_s[2])
        network_s = {name: part * seconds for name, seconds in (network_s or {}).items()}
        waited_s = max(0.0, passed_s - sum(own_s) - sum(network_s.values()))
        self._trace.ran(run, own_s, {**network_s, QUEUEING: waited_s})
        self._book(run, own_s, network_s)
        if self._under_way(run):
            del self._runs[run.slot]
            self._plan()


_ONE_STEP = DecodeRun(KernelTime.ZERO, KernelTime.ZERO, 1)
