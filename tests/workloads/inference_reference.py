"""A replica as a plain loop over steps and requests: slow, readable, the twin of the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving.step_timer import DecodeRun


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
    turn: int = 0
    held: int = 0
    first_token_s: float = math.nan
    finish_s: float = math.nan
    preemptions: int = 0

    @property
    def decoding(self):
        return self.cached >= self.target


@dataclass
class PlainReplica:
    """Serve jobs one step after another, looking at every request in every step.

    `running` is in the order of admission. Blocks are handed out one request at a time.
    """

    timer: LinearTimer
    blocks: int
    block_tokens: int
    watermark: float
    max_batch: int
    policy: str = "vllm"
    tokens: int = 1 << 30
    long_prefill: int = 1 << 30
    reserved: int = 0
    swap_blocks: int = 0
    swap_s: float = 0.0
    rank: object = None
    steps: int = 0
    turns: int = 0
    jobs: list[Job] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)
    swapped: list[Job] = field(default_factory=list)
    unfinished_batch: list[Job] = field(default_factory=list)

    def serve(self, requests):
        self.jobs = [Job(i, *request) for i, request in enumerate(requests)]
        coming = sorted(self.jobs, key=lambda job: (job.arrival_s, job.index))
        now = 0.0
        while any(math.isnan(job.finish_s) for job in self.jobs):
            while coming and coming[0].arrival_s <= now:
                job = coming.pop(0)
                job.target = job.prompt
                self.waiting.append(job)
            self.moved = 0
            batch = getattr(self, "_" + self.policy.replace("-", "_"))()
            if not batch:
                now = coming[0].arrival_s
                continue
            now = self._run(now + self.moved * self.swap_s, batch)
        return self.jobs

    def _key(self, job):
        return self.rank(job) if self.rank else (job.arrival_s, job.index)

    def _needs(self, tokens):
        return math.ceil(tokens / self.block_tokens)

    @property
    def free(self):
        held = {id(job): job.held for job in [*self.running, *self.unfinished_batch]}
        return self.blocks - sum(held.values())

    def _hold(self, job, tokens):
        job.held = max(job.held, self._needs(tokens))

    def _next(self):
        """The waiting job whose turn it is; preempted ones stand at the front already."""
        return min(self.waiting, key=self._key) if self.rank else self.waiting[0]

    def _admit(self, job, tokens):
        self.waiting.remove(job)
        self.turns += 1
        job.turn = self.turns
        self.running.append(job)
        self._hold(job, tokens)

    def _admits(self, job, tokens):
        floor = int(self.watermark * self.blocks)
        return len(self.running) < self.max_batch and self.free - self._needs(tokens) >= floor

    def _preempt(self, victim):
        self.running.remove(victim)
        victim.preemptions += 1
        in_host = sum(job.in_host for job in self.swapped)
        if victim.decoding and in_host + victim.held <= self.swap_blocks:
            victim.in_host = victim.held
            self.moved += victim.held
            self.swapped.append(victim)
        else:
            victim.cached, victim.target = 0, victim.prompt + victim.generated
            self.waiting.insert(0, victim)
        victim.held = 0
        self.preempted = True

    def _decodes(self, order):
        """Each decode in turn finds a free block, or the last of all loses its own."""
        self.preempted = False
        done = []
        left = sorted(self.running, key=order)
        while any(job.decoding for job in left):
            job = next(job for job in left if job.decoding)
            alone = len(self.running) == 1
            while self.free < (self._needs(job.cached + 1) - job.held if alone else 1):
                self._preempt(left.pop())
                if job not in left:
                    break
            else:
                left.remove(job)
                self._hold(job, job.cached + 1)
                done.append(job)
        return done

    def _swap_in(self):
        back = []
        while self.swapped and not self.preempted:
            job = self.swapped[0]
            if not self._admits(job, job.cached + 1):
                break
            self.swapped.remove(job)
            self.moved += job.in_host
            self.turns += 1
            job.turn = self.turns
            self.running.append(job)
            self._hold(job, job.cached + 1)
            back.append(job)
        return back

    def _vllm(self):
        chunks = []
        budget = self.tokens
        while self.waiting and not self.swapped:
            job = self._next()
            if not self._admits(job, job.target) or (chunks and job.target > budget):
                break
            self._admit(job, job.target)
            budget -= job.target
            chunks.append((job, job.target))
        if chunks:
            return chunks
        decodes = self._decodes(self._key)
        return [(job, 1) for job in [*decodes, *self._swap_in()]]

    def _sarathi(self):
        decodes = self._decodes(self._key if self.rank else lambda job: job.turn)
        batch = [(job, 1) for job in [*decodes, *self._swap_in()]]
        budget = self.tokens - len(batch)
        prompts = [job for job in self.running if not job.decoding]
        for job in sorted(prompts, key=self._key if self.rank else lambda job: job.turn):
            new = min(job.target - job.cached, budget)
            if new > 0:
                batch.append((job, new))
                budget -= new
        while self.waiting and budget > 0 and self._admits(self._next(), self._next().target):
            job = self._next()
            self._admit(job, job.target)
            batch.append((job, min(job.target, budget)))
            budget -= batch[-1][1]
        return batch

    def _vllm_v1(self):
        """Running requests in the order of admission, then waiting ones, out of one budget."""
        batch, budget, preempted, stuck = [], self.tokens, False, False
        for job in sorted(self.running, key=self._key if self.rank else lambda job: job.turn):
            if job not in self.running or not budget:
                continue
            new = 1 if job.decoding else min(job.target - job.cached, self.long_prefill, budget)
            while self._needs(job.cached + new) - job.held > self.free and not stuck:
                last = max(self.running, key=self._key) if self.rank else self.running[-1]
                self._preempt(last)
                preempted, stuck = True, last is job
            if stuck:
                break
            self._hold(job, job.cached + new)
            batch.append((job, new))
            budget -= new
        while self.waiting and budget and not preempted:
            job = self._next()
            new = min(job.target, self.long_prefill, budget)
            if not self._admits(job, new):
                break
            self._admit(job, new)
            batch.append((job, new))
            budget -= new
        return batch

    def _reserving(self):
        batch, budget = [(job, 1) for job in self.running], self.tokens
        while self.waiting and self._admits(self._next(), self.reserved):
            job = self._next()
            if budget < self.tokens and job.target > budget:
                break
            self._admit(job, self.reserved)
            batch.append((job, job.target))
            budget -= job.target
        return batch

    def _orca(self):
        return self._reserving()

    def _static(self):
        if self.running:
            return [(job, 1) for job in self.running]
        self.unfinished_batch = []
        batch = self._reserving()
        self.unfinished_batch = [job for job, _ in batch]
        return batch

    def _run(self, now, batch):
        self.steps += 1
        decodes = [job for job, _ in batch if job.decoding]
        chunks = [(job, new) for job, new in batch if not job.decoding]
        time = self.timer.step(
            decodes=len(decodes),
            context_sum=sum(job.cached + 1 for job in decodes),
            chunks=[(new, job.cached) for job, new in chunks],
            sampled=0,
        )
        now += time.seconds
        for job, new in batch:
            was_decoding = job.decoding
            job.cached += new
            job.target = job.cached if was_decoding else job.target
            if job.decoding:
                self._token(job, now)
        return now

    def _token(self, job, now):
        job.generated += 1
        if math.isnan(job.first_token_s):
            job.first_token_s = now
        if job.generated == job.output:
            job.finish_s = now
            self.running.remove(job)
