"""What an engine writes down of its steps: rows of the log, and which of them each request ran in."""

from __future__ import annotations

import math
from collections.abc import Mapping

import simpy

from clustersim.workloads.inference.replica.run import OwnSeconds, Run
from clustersim.workloads.inference.replica.step_log import StepLog
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.plan import StepPlan
from clustersim.workloads.inference.scheduling.scheduler import Scheduler

__all__ = ["StepBooks"]


class StepBooks:
    """The step log of one engine, and the rows that requests refer to.

    Parameters
    ----------
    env
        The world's clock.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self.log = StepLog()
        self._env = env

    def changes(self, plan: StepPlan, scheduler: Scheduler) -> None:
        """Write down that requests begin with the row of `plan`, or lose their blocks at it."""
        row = len(self.log)
        for request in scheduler.preempted:
            if request.preempted_row < 0:
                request.preempted_row = row
                self.log.leave(request.index)
        for request in scheduler.resumed:
            self._begin(request, row)
            self.log.join(request.index, self._last_token_s(request))
        for chunk in plan.chunks:
            self._begin(chunk.request, row)

    def row(
        self,
        run: Run,
        own_s: OwnSeconds,
        network_s: Mapping[str, float] | None,
        *,
        kv_end_blocks: int,
        queued: int,
        computes: bool = True,
    ) -> None:
        """Add a run that ends now; `computes` is False for one in which KV was moved before the step."""
        plan = run.plan
        tokens, pairs, kv_tokens = plan.work(run.steps) if computes else (0, 0, 0)
        self.log.append(
            run.start_s,
            self._env.now,
            run.first_s,
            own_s,
            run.steps,
            tokens,
            pairs,
            kv_tokens,
            plan.batch,
            plan.decodes if computes else 0,
            run.kv_start_blocks,
            kv_end_blocks,
            queued,
            run.slot,
            network_s,
        )

    def answered(self, request: Request, slot: int) -> None:
        """A prefill ended: a token came out, and the request decodes from the next row on."""
        now_s = self._env.now
        if math.isnan(request.first_token_s):
            request.first_token_s = now_s
        if request.generated < request.output:
            self.log.join(request.index, now_s, slot=slot)

    def _begin(self, request: Request, row: int) -> None:
        """Note that a request runs in this row; it may be its first, or its first after a preemption."""
        if request.first_row < 0:
            request.first_row = row
            if math.isnan(request.admitted_s):
                request.admitted_s = self._env.now
        elif request.preempted_row >= 0:
            request.waits = (*request.waits, (request.preempted_row, row))
            request.preempted_row = -1

    def _last_token_s(self, request: Request) -> float:
        """When the last token was out before the request was preempted, or brought here."""
        return self.log.end_of(request.waits[-1][0] - 1) if request.waits else request.first_token_s
