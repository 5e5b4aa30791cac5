"""A replica as a plain loop over steps and requests: slow, readable, the twin of the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from clustersim.cost.roofline import KernelTime
from clustersim.cost.step_timer import DecodeRun


class LinearTimer:
    """Step times that are easy to follow: a constant, so much per token, per cached token, per chunk."""

    def __init__(self, *, base_s=0.01, token_s=1e-5, context_s=1e-7, chunk_s=2e-4):
        self.base_s, self.token_s, self.context_s, self.chunk_s = base_s, token_s, context_s, chunk_s

    def step(self, *, decodes, context_sum, chunks, sampled):
        tokens = decodes + sum(new for new, _ in chunks)
        past = sum(done for _, done in chunks)
        compute_s = self.base_s + self.token_s * tokens + self.chunk_s * len(chunks)
        return KernelTime(compute_s, self.context_s * (context_sum + past), 0.0)

    def decode_run(self, *, decodes, context_sum):
        first = self.step(decodes=decodes, context_sum=context_sum, chunks=(), sampled=decodes)
        return DecodeRun(first, KernelTime(0.0, self.context_s * decodes, 0.0), 2**62)


@dataclass(eq=False)
class Job:
    index: int
    arrival_s: float
    prompt: int
    output: int
    generated: int = 0
    cached: int = 0
    target: int = 0
    running: bool = False
    decoding: bool = False
    first_token_s: float = math.nan
    finish_s: float = math.nan
    preemptions: int = 0


@dataclass
class PlainReplica:
    """Serve jobs one step after another, looking at every request in every step."""

    timer: LinearTimer
    blocks: int
    block_tokens: int
    watermark: float
    max_batch: int
    token_budget: int | None = None
    max_batched_tokens: int = 1 << 30
    steps: int = 0
    jobs: list[Job] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)

    def serve(self, requests):
        self.jobs = [Job(i, *request) for i, request in enumerate(requests)]
        coming = sorted(self.jobs, key=lambda job: (job.arrival_s, job.index))
        now = 0.0
        while any(math.isnan(job.finish_s) for job in self.jobs):
            while coming and coming[0].arrival_s <= now:
                self._queue(coming.pop(0))
            step = self._plan()
            if step is None:
                now = coming[0].arrival_s
                continue
            now = self._run(now, *step)
        return self.jobs

    def _queue(self, job):
        job.target = job.prompt
        self.waiting.append(job)

    def _held(self, job, extra=0):
        """Blocks of a running job: its whole prompt while that is computed, else what is cached."""
        return math.ceil((job.cached + extra if job.decoding else job.target) / self.block_tokens)

    def _free(self, extra=0):
        return self.blocks - sum(
            self._held(job, extra if job.decoding else 0) for job in self.jobs if job.running
        )

    def _running(self):
        return [job for job in self.jobs if job.running]

    def _plan(self):
        if self.token_budget is None:
            chunks = self._admit(self.max_batched_tokens, reserve=0)
            if chunks:
                return [], chunks
            self._preempt()
            decodes = [job for job in self.jobs if job.decoding]
            return (decodes, []) if decodes else None
        preempted = self._preempt()
        decodes = [job for job in self.jobs if job.decoding]
        budget = self.token_budget - len(decodes)
        chunks = []
        prefilling = [job for job in self._running() if not job.decoding]
        for job in sorted(prefilling, key=lambda job: (job.admitted, job.index)):
            new = min(job.target - job.cached, budget)
            if new > 0:
                chunks.append((job, new))
                budget -= new
        if not preempted:
            chunks += self._admit(budget, reserve=1)
        return (decodes, chunks) if decodes or chunks else None

    def _admit(self, budget, *, reserve):
        chunks = []
        floor = int(self.watermark * self.blocks)
        while self.waiting and budget > 0 and len(self._running()) < self.max_batch:
            job = self.waiting[0]
            if self._free(extra=reserve) - math.ceil(job.target / self.block_tokens) < floor:
                break
            if self.token_budget is None and chunks and job.target > budget:
                break
            self.waiting.pop(0)
            job.running, job.admitted = True, self.steps
            new = job.target if self.token_budget is None else min(job.target, budget)
            chunks.append((job, new))
            budget -= new
        return chunks

    def _preempt(self):
        victims = []
        while self._free(extra=1) < 0:
            victim = max(self._running(), key=lambda job: (job.arrival_s, job.index))
            victim.running = victim.decoding = False
            victim.cached, victim.target = 0, victim.prompt + victim.generated
            victim.preemptions += 1
            self.waiting.insert(0, victim)
            victims.append(victim)
        return victims

    def _run(self, now, decodes, chunks):
        self.steps += 1
        time = self.timer.step(
            decodes=len(decodes),
            context_sum=sum(job.cached + 1 for job in decodes),
            chunks=[(new, job.cached) for job, new in chunks],
            sampled=0,
        )
        now += time.seconds
        for job in decodes:
            job.cached += 1
            self._token(job, now)
        for job, new in chunks:
            job.cached += new
            if job.cached == job.target:
                job.decoding = True
                self._token(job, now)
        return now

    def _token(self, job, now):
        job.generated += 1
        if math.isnan(job.first_token_s):
            job.first_token_s = now
        if job.generated == job.output:
            job.finish_s = now
            job.running = job.decoding = False
