"""Vidur's replica schedulers, written down from their rules: one request, one event at a time.

Slow and readable. Requests that are in no batch stand in `idle` in the order of which batches
ended; batches pass through the stages one behind the other; a preempted request is restarted with
what it had generated as part of its prompt.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field


@dataclass(eq=False)
class Job:
    index: int
    arrival_s: float
    prefill: int
    decode: int
    processed: int = 0
    decoding: bool = False
    first_token_s: float = math.nan
    finish_s: float = math.nan
    restarts: int = 0

    def restart(self):
        total = self.prefill + self.decode
        self.prefill, self.decode = self.processed, total - self.processed
        self.processed, self.decoding = 0, False
        self.restarts += 1

    def advance(self, tokens, now):
        self.processed += tokens
        if self.processed == self.prefill:
            self.decoding = True
            self.processed += 1
            if math.isnan(self.first_token_s):
                self.first_token_s = now
        if self.processed == self.prefill + self.decode:
            self.finish_s = now


@dataclass
class VidurReplica:
    policy: str
    stage_seconds: object
    blocks: int
    cap: int
    tokens: int
    stages: int = 1
    block_tokens: int = 16
    watermark: float = 0.01
    longest: int = 4096
    queue: list = field(default_factory=list)
    idle: list = field(default_factory=list)
    held: dict = field(default_factory=dict)
    in_flight: int = 0
    batches: list = field(default_factory=list)

    def serve(self, requests):
        self.numbers = itertools.count()
        self.events = []
        self.waiting = [[] for _ in range(self.stages)]
        self.busy = [False] * self.stages
        jobs = [Job(i, *request) for i, request in enumerate(requests)]
        for job in jobs:
            self._at(job.arrival_s, self._arrive, job)
        while self.events:
            now, _, handle, subject = heapq.heappop(self.events)
            handle(now, subject)
        return jobs

    def _at(self, time_s, handle, subject=None):
        heapq.heappush(self.events, (time_s, next(self.numbers), handle, subject))

    def _arrive(self, now, job):
        self.queue.append(job)
        self._at(now, self._schedule)

    def _schedule(self, now, _):
        while self.in_flight < self.stages:
            batch = getattr(self, "_" + self.policy)()
            if not batch:
                return
            self.in_flight += 1
            self.batches.append((now, len(batch), sum(tokens for _, tokens in batch)))
            self._enter(now, (batch, 0))

    def _enter(self, now, passing):
        self.waiting[passing[1]].append(passing)
        self._at(now, self._next_in_stage, passing[1])

    def _next_in_stage(self, now, stage):
        if self.busy[stage] or not self.waiting[stage]:
            return
        self.busy[stage] = True
        batch, _ = self.waiting[stage].pop(0)
        self._at(now + self._times(batch)[stage].seconds, self._leave, (batch, stage))

    def _leave(self, now, passing):
        batch, stage = passing
        self.busy[stage] = False
        self._at(now, self._next_in_stage, stage)
        if stage + 1 < self.stages:
            self._enter(now, (batch, stage + 1))
        else:
            self._at(now, self._end, batch)

    def _end(self, now, batch):
        self.in_flight -= 1
        for job, tokens in batch:
            job.advance(tokens, now)
            if math.isnan(job.finish_s):
                self.idle.append(job)
            else:
                del self.held[job]
        self._at(now, self._schedule)

    def _times(self, batch):
        decodes = [job for job, _ in batch if job.decoding]
        return self.stage_seconds(
            decodes=len(decodes),
            context_sum=sum(job.processed for job in decodes),
            chunks=[(tokens, job.processed) for job, tokens in batch if not job.decoding],
            sampled=0,
        )

    @property
    def _free(self):
        return self.blocks - sum(self.held.values())

    def _admits(self, job):
        return self._free - math.ceil(job.prefill / self.block_tokens) >= int(self.watermark * self.blocks)

    def _admit(self, job):
        self.queue.remove(job)
        self.held[job] = math.ceil(job.prefill / self.block_tokens)

    def _restart(self, job):
        job.restart()
        del self.held[job]
        self.queue.insert(0, job)

    def _room_for(self, job):
        """One block must be free for a decode, whether it needs one or not."""
        while self._free < 1:
            if not self.idle:
                self._restart(job)
                return False
            self._restart(self.idle.pop())
        if job.processed > self.held[job] * self.block_tokens:
            self.held[job] += 1
        return True

    def _vllm(self):
        batch = []
        while self.queue:
            job = self.queue[0]
            sizes = [tokens for _, tokens in batch] + [job.prefill]
            if not self._admits(job) or len(sizes) * max(sizes) > self.tokens:
                break
            if len(self.held) == self.cap or len(batch) == self.cap // self.stages:
                break
            self._admit(job)
            batch.append((job, job.prefill))
        if batch:
            return batch
        self.idle.sort(key=lambda job: job.arrival_s)
        while self.idle and len(batch) < self.cap // self.stages:
            job = self.idle.pop(0)
            if self._room_for(job):
                batch.append((job, 1))
        return batch

    def _sarathi(self):
        batch, prompts, skipped, used = [], [], [], 0
        while self.idle and len(batch) < self.cap // self.stages:
            job = self.idle.pop(0)
            if not job.decoding:
                prompts.append(job)
            elif self._room_for(job):
                batch.append((job, 1))
                used += 1
        for job in prompts:
            new = max(0, min(job.prefill - job.processed, self.tokens - used))
            if new:
                batch.append((job, new))
                used += new
            else:
                skipped.append(job)
        self.idle = sorted(skipped + self.idle, key=lambda job: job.arrival_s)
        while self.queue and len(self.held) < self.cap and len(batch) < self.cap // self.stages:
            job = self.queue[0]
            new = max(0, min(job.prefill, self.tokens - used))
            if not self._admits(job) or not new:
                break
            self._admit(job)
            batch.append((job, new))
            used += new
        return batch

    def _orca(self):
        batch = [(job, 1) for job in self.idle[: self.cap]]
        del self.idle[: self.cap]
        reserved = self.longest // self.block_tokens
        while self.queue and len(batch) < self.cap and self._free >= reserved:
            job = self.queue.pop(0)
            self.held[job] = reserved
            batch.append((job, job.prefill))
        return batch
