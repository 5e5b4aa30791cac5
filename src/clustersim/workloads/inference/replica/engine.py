"""The engine loop of one replica: plan a step, let it take its time, book what it did."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Protocol

import simpy

from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving.step_timer import DecodeRun, StepTimer
from clustersim.engine.trace import NO_CAUSE
from clustersim.engine.world import World
from clustersim.workloads.inference.cache.fetch import Fetch, Loaded
from clustersim.workloads.inference.replica.engine_trace import EngineTrace
from clustersim.workloads.inference.replica.network import StepNetwork
from clustersim.workloads.inference.replica.run import OwnSeconds, Run
from clustersim.workloads.inference.replica.skip_ahead import steps_until
from clustersim.workloads.inference.replica.step_books import StepBooks
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.plan import StepPlan
from clustersim.workloads.inference.scheduling.scheduler import Bring, Loading, Scheduler

__all__ = ["KvMover", "ReplicaEngine"]

Steps = Generator[simpy.Event, Any, None]


class KvMover(Protocol):
    """Moves keys and values of a replica between its GPUs and the tiers below."""

    def fetch(self, request: Request, fetch: Fetch) -> simpy.Event:
        """Bring what an admitted request waits for."""

    def swap_out(self, blocks: int) -> simpy.Event:
        """Move blocks to host memory."""

    def swap_in(self, blocks: int) -> simpy.Event:
        """Move blocks back."""


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
        Exchanges of a step; None for a replica of one GPU.
    skip_ahead
        Whether runs of alike decode steps are computed in closed form.
    on_finish
        Called with each request at the time of its last token.
    on_prefilled
        Called with each request whose prompt is computed, where it is decoded elsewhere; its
        KV stays until `release_prefilled`. None: requests are decoded here.
    on_chunk
        Called at the begin of each step with every request of which it computes some of the prompt, how
        many tokens, and the seconds of the step without exchanges that others share.
    mover
        For caches with lower tiers and preemption by swapping.
    """

    def __init__(
        self,
        world: World,
        *,
        name: str,
        arrivals_lane: str,
        scheduler: Scheduler,
        timer: StepTimer,
        network: StepNetwork | None,
        skip_ahead: bool,
        on_finish: Callable[[Request], None],
        on_prefilled: Callable[[Request], None] | None = None,
        on_chunk: Callable[[Request, int, float], None] | None = None,
        mover: KvMover | None = None,
    ) -> None:
        self._books = StepBooks(world.env)
        self.log = self._books.log
        self.scheduler = scheduler
        self.mover = mover
        self.alive = True
        scheduler.hands_over = on_prefilled is not None
        self._env = world.env
        self._trace = EngineTrace(world, lane=f"{name}/engine", arrivals_lane=arrivals_lane)
        self._timer = timer
        self.network = network
        self._step_limit = 2**62 if skip_ahead else 1
        self._on_finish = on_finish
        self._on_prefilled = on_prefilled
        self._on_chunk = on_chunk
        self._run: Run | None = None
        self._planning: simpy.Event | None = None
        self._drained: simpy.Event | None = None
        if network is not None and network.private:
            network.on_shared(self._cut)

    def submit(self, request: Request) -> None:
        """Take a request that arrives now; a run under way is cut if it may be admitted."""
        self._look_at(request, admissible=self.scheduler.submit(request))

    def submit_prefilled(self, request: Request, bring: Bring) -> None:
        """Take a request whose prompt and first token were computed elsewhere.

        When its blocks are free they are taken and `bring(request)` starts to move its KV into
        them; the request decodes from the first step after the end of that.
        """
        self._look_at(request, admissible=self.scheduler.submit_prefilled(request, bring))

    def release_prefilled(self, request: Request) -> None:
        """Give up the KV of a request that was handed over, and now is where it is decoded."""
        self.scheduler.release_prefilled(request)
        self._come_back()

    def abort(self) -> list[Request]:
        """Fail: the step under way is lost, and with it all KV; return the requests that were here.

        They are as they were before they were sent, but for `attempts`. The engine takes no
        requests until `resume`.
        """
        self.alive = False
        self._run = self._planning = None
        lost = self.scheduler.abort()
        for request in lost:
            self.log.leave(request.index)
        return lost

    def resume(self) -> None:
        """Serve again after a failure, with an empty cache, and first who came meanwhile."""
        self.alive = True
        self._come_back()

    @property
    def kv_used_fraction(self) -> float:
        """Share of the KV blocks in use now, in the step of a run that is under way."""
        cache, run = self.scheduler.cache, self._run
        grown = 0
        if run is not None and run.steps > 1:
            steps = steps_until(self._env.now - run.start_s, first_s=run.first_s, growth_s=run.growth_s)
            grown = run.plan.lane.blocks_needed(min(steps, run.steps) - 1)
        return (cache.used_blocks + grown) / cache.total_blocks

    def drain(self) -> simpy.Event:
        """Return an event that happens when the last request that is here has left."""
        self._drained = self._env.event()
        self._note_if_drained()
        return self._drained

    def _look_at(self, request: Request, *, admissible: bool) -> None:
        if self._run is not None:
            if admissible:
                self._cut()
        elif self._planning is None and self.alive:
            self._trace.arrived(request)
            self._plan_soon()

    def _come_back(self) -> None:
        """Plan again at the next step boundary: something other than an arrival has changed."""
        if self._run is not None:
            self._cut()
        elif self._planning is None and self.alive:
            self._plan_soon()

    def _plan_soon(self) -> None:
        """Plan after everything else that happens now."""
        self._planning = self._env.timeout(0.0)
        self._planning.callbacks.append(self._plan_at)

    def _plan_at(self, event: simpy.Event) -> None:
        if event is self._planning:
            self._planning = None
            self._plan()

    def _cut(self) -> None:
        """End the run under way at its next step boundary."""
        run = self._run
        now_s = self._env.now
        if run is not None and run.cut(now_s):
            self._wake_at_end(run, now_s)

    def _wake_at_end(self, run: Run, now_s: float) -> None:
        run.wake = wake = self._env.timeout(max(0.0, run.end_s() - now_s))
        wake.callbacks.append(self._end_at)

    def _end_at(self, event: simpy.Event) -> None:
        run = self._run
        if run is not None and event is run.wake:
            self._end_alone(run)

    def _plan(self) -> None:
        """Start the next step, if there is anything to do."""
        scheduler = self.scheduler
        plan = scheduler.next_step()
        if scheduler.started_loading:
            self._start_loading(scheduler.started_loading)
        if plan is None:
            self._run = None
            self._note_if_drained()
            return
        self._books.changes(plan, scheduler)
        self._start(plan)

    def _start(self, plan: StepPlan) -> None:
        kv_blocks = self.scheduler.cache.used_blocks
        run = Run(plan, self._time_of(plan), start_s=self._env.now, kv_start_blocks=kv_blocks)
        self._run = run
        if plan.swapped_out_blocks or plan.swapped_in_blocks:
            self._env.process(self._swap_first(run))
        else:
            self._start_run(run)

    def _swap_first(self, run: Run) -> Steps:
        """Move KV between GPUs and host; the step waits for it (a row of its own in the log)."""
        if self.mover is None:
            raise RuntimeError("preemption by swapping needs a mover")
        plan, shares = run.plan, dict[str, float]()
        moves = ((self.mover.swap_out, plan.swapped_out_blocks), (self.mover.swap_in, plan.swapped_in_blocks))
        for move, blocks in moves:
            if blocks:
                moved = yield move(blocks)
                for resource, seconds in moved.shares.items():
                    shares[resource] = shares.get(resource, 0.0) + seconds
                if not self._under_way(run):
                    return
        queued = len(self.scheduler.queue)
        nothing = (0.0, 0.0, 0.0)
        self._books.row(
            run, nothing, shares, kv_end_blocks=run.kv_start_blocks, queued=queued, computes=False
        )
        run.start_s = self._env.now
        self._start_run(run)

    def _under_way(self, run: Run) -> bool:
        """Whether a run goes on: its replica has not failed."""
        return self._run is run

    def _start_run(self, run: Run) -> None:
        if self.network is None or self.network.private:
            self._start_alone(run)
        else:
            self._env.process(self._run_on_fabric(run, self.network))
        if self._on_chunk is not None:
            for chunk in run.plan.chunks:
                self._on_chunk(chunk.request, chunk.new, run.first_s)

    def _start_alone(self, run: Run) -> None:
        """Run a plan whose time depends on nobody else: once, or as often as it stays the same."""
        plan = run.plan
        if not plan.chunks:
            run.steps = self.scheduler.steps_ahead(plan, min(run.time.steps, self._step_limit))
            run.growth_s = run.time.growth.seconds
        if self.network is not None:
            run.network = self.network.alone(plan.tokens, plan.sampled)
            run.first_s += run.network.seconds
        self._wake_at_end(run, run.start_s)

    def _end_alone(self, run: Run) -> None:
        plan = run.plan
        if run.network is not None and self.network is not None:
            self.network.account(plan.tokens, run.steps, run.start_s, self._env.now, sampled=plan.sampled)
        own_s, network_s = run.own_seconds(), run.network_seconds()
        self._trace.ran(run, own_s, network_s)
        self._end(run, own_s, network_s)

    def _run_on_fabric(self, run: Run, network: StepNetwork) -> Steps:
        """Run one step in slices: each computes, then its exchanges are flows among others."""
        plan, shares = run.plan, dict[str, float]()
        compute_s, memory_s, host_s = (seconds / network.slices for seconds in run.own_seconds())
        for part in range(network.slices):
            start_s = self._env.now
            yield self._env.timeout(run.first_s / network.slices)
            if not self._under_way(run):
                return
            computed = self._trace.ran(run, (compute_s, memory_s, host_s), start_s=start_s)
            record = yield network.run(plan.tokens, cause=computed, part=part, sampled=plan.sampled)
            if not self._under_way(run):
                return
            self._trace.cause = record.row
            for resource, seconds in record.shares.items():
                shares[resource] = shares.get(resource, 0.0) + seconds
        run.first_s = self._env.now - run.start_s
        self._end(run, run.own_seconds(), shares)

    def _end(self, run: Run, own_s: OwnSeconds, network_s: Mapping[str, float] | None) -> None:
        """Book a run, and go on with the next."""
        self._book(run, own_s, network_s)
        if self._run is run:
            self._plan()

    def _time_of(self, plan: StepPlan) -> DecodeRun:
        if not plan.chunks:
            return self._timer.decode_run(decodes=plan.decodes, context_sum=plan.context_sum)
        chunks = [chunk[1:] for chunk in plan.chunks]
        time = self._timer.step(
            decodes=plan.decodes, context_sum=plan.context_sum, chunks=chunks, sampled=plan.sampled
        )
        return DecodeRun(time, KernelTime.ZERO, 1)

    def _start_loading(self, started: list[Loading]) -> None:
        for request, source in started:
            if isinstance(source, Fetch):
                if self.mover is None:
                    raise RuntimeError("a cache with lower tiers needs a mover")
                event, tokens = self.mover.fetch(request, source), source.tokens
            else:
                event, tokens = source(request), None
            event.callbacks.append(partial(self._on_loaded, request, tokens))

    def _on_loaded(self, request: Request, tokens: int | None, event: simpy.Event) -> None:
        """KV is there: from lower tiers, which say how it came, or of as many tokens as the event says."""
        came: Any = event.value
        if tokens is None:
            tokens, row = came
        else:
            row = came.row if isinstance(came, Loaded) else NO_CAUSE
        if not self.scheduler.loaded(request, tokens):
            return
        if isinstance(came, Loaded):
            request.note_loading(came.shares)
        if self._run is None and row != NO_CAUSE:
            self._trace.cause = row
        self._come_back()

    def _book(self, run: Run, own_s: OwnSeconds, network_s: Mapping[str, float] | None) -> None:
        """Bring scheduler, log and requests to the end of the steps that ran."""
        done = self.scheduler.complete(run.plan, run.steps)
        row = len(self.log)
        queued = len(self.scheduler.queue)
        self._books.row(run, own_s, network_s, kv_end_blocks=done.peak_blocks, queued=queued)
        for request in done.answered:
            self._answer(request, run.slot)
        for request in done.finished:
            self._finish(request, row)
        for request in done.handed_over:
            self._hand_over(request, row)

    def _answer(self, request: Request, slot: int) -> None:
        self._books.answered(request, slot)

    def _finish(self, request: Request, row: int) -> None:
        request.finish_s = self._env.now
        request.last_row = row
        request.last_activity = self._trace.cause
        self._on_finish(request)

    def _hand_over(self, request: Request, row: int) -> None:
        request.last_row = row
        request.last_activity = self._trace.cause
        if self._on_prefilled is not None:
            self._on_prefilled(request)

    def _note_if_drained(self) -> None:
        if self._drained is not None and not self._drained.triggered and self.scheduler.empty:
            self._drained.succeed()
