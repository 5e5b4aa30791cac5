"""Which requests run in the next engine step: continuous batching over paged KV blocks.

Both policies admit requests first come, first served, while there are free blocks above a
watermark, and give up the youngest running request when decodes run out of blocks; it is
computed again later, with what it had generated (preemption by recompute).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from itertools import chain
from typing import NamedTuple

from clustersim.spec.scheduler import SchedulerSpec
from clustersim.workloads.inference.cache.kv_cache import KvCache, blocks_for
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch

__all__ = [
    "Chunk",
    "ChunkedPrefillScheduler",
    "Completed",
    "Scheduler",
    "StepPlan",
    "WholePromptScheduler",
    "make_scheduler",
]


class Chunk(NamedTuple):
    """Part of a prompt that is computed in one step."""

    request: Request
    new: int
    """Tokens computed now."""
    past: int
    """Tokens of the same request that are in the cache already."""

    @property
    def completes_prompt(self) -> bool:
        """Whether the request's next token comes out of this step."""
        return self.past + self.new == self.request.pending


class StepPlan(NamedTuple):
    """What the next step computes: one token for each of `decodes` requests, and prompt chunks."""

    decodes: int
    context_sum: int
    """Tokens that the decodes attend to, all together."""
    chunks: tuple[Chunk, ...] = ()

    @property
    def tokens(self) -> int:
        """Rows of every matrix product of the step."""
        return self.decodes + sum(chunk.new for chunk in self.chunks)

    @property
    def sampled(self) -> int:
        """Rows for which the next token is sampled."""
        return self.decodes + sum(chunk.completes_prompt for chunk in self.chunks)

    @property
    def batch(self) -> int:
        """Requests in the step."""
        return self.decodes + len(self.chunks)


class Completed(NamedTuple):
    """What a step, or a run of alike decode steps, brought about."""

    answered: list[Request]
    """Requests whose prompt is computed: a token came out."""
    finished: list[Request]
    """Requests that have all of their tokens."""
    peak_blocks: int
    """KV blocks in use at the end, before finished requests gave theirs back."""


class Scheduler(ABC):
    """Queue, running requests and KV blocks of one replica.

    Parameters
    ----------
    cache
        KV blocks of the replica.
    max_batch
        Requests running at once.
    """

    def __init__(self, cache: KvCache, *, max_batch: int) -> None:
        self.cache = cache
        self.max_batch = max_batch
        self.queue: deque[Request] = deque()
        self.decoding = DecodeBatch(cache.block_tokens)
        self.prefilling: list[Request] = []
        """Admitted requests whose prompt is not computed to its end, oldest first."""
        self.preempted: list[Request] = []
        """Requests that lost their blocks when the last step was planned."""

    @abstractmethod
    def next_step(self) -> StepPlan | None:
        """Admit, make room and say what runs next; None where there is nothing to do."""

    @abstractmethod
    def _leaves_room_for_prompts(self) -> bool:
        """Whether a step with the present decodes has any tokens left for prompts."""

    def submit(self, request: Request) -> bool:
        """Queue a request; return whether it may be admitted at the next step boundary."""
        request.pending = request.prompt
        self.queue.append(request)
        return len(self.queue) == 1 and self._leaves_room_for_prompts() and self._can_admit(request, 0)

    def complete(self, plan: StepPlan, steps: int = 1) -> Completed:
        """Book `steps` repetitions of a plan as done (more than one only without chunks)."""
        finished: list[Request] = []
        if plan.decodes:
            self.cache.take(self.decoding.blocks_needed(steps))
            finished = self.decoding.advance(steps)
        peak_blocks = self.cache.used_blocks
        answered = [chunk.request for chunk in plan.chunks if self._advance_prompt(chunk)]
        finished += [request for request in answered if self._after_prompt(request)]
        for request in finished:
            self.cache.give_back(request.blocks)
        return Completed(answered, finished, peak_blocks)

    def steps_ahead(self, limit: int) -> int:
        """Return how many alike decode steps can follow, at most `limit`: to the next departure
        or until the KV blocks run out."""
        limit = min(limit, self.decoding.steps_to_departure)
        return self.decoding.steps_within(self.cache.free_blocks, limit)

    @property
    def running(self) -> int:
        """Requests that hold KV blocks."""
        return len(self.decoding) + len(self.prefilling)

    def _advance_prompt(self, chunk: Chunk) -> bool:
        chunk.request.prefilled += chunk.new
        return chunk.request.prefilled == chunk.request.pending

    def _after_prompt(self, request: Request) -> bool:
        """Count the token that ends a prefill; return whether it was the last one."""
        self.prefilling.remove(request)
        request.generated += 1
        if request.generated == request.output:
            return True
        self.decoding.join(request)
        return False

    def _can_admit(self, request: Request, reserved_blocks: int) -> bool:
        needed = blocks_for(request.pending, self.cache.block_tokens)
        return self.running < self.max_batch and self.cache.admits(needed + reserved_blocks)

    def _admit_head(self) -> Request:
        request = self.queue.popleft()
        request.blocks = blocks_for(request.pending, self.cache.block_tokens)
        self.cache.take(request.blocks)
        self.prefilling.append(request)
        return request

    def _make_room(self) -> int:
        """Preempt the youngest until the next decode step has its blocks; return how many it needs."""
        self.preempted = []
        needed = self.decoding.blocks_needed(1)
        while needed > self.cache.free_blocks:
            self._preempt(
                max(chain(self.decoding.requests, self.prefilling), key=lambda request: request.order)
            )
            needed = self.decoding.blocks_needed(1)
        return needed

    def _preempt(self, victim: Request) -> None:
        if victim in self.prefilling:
            self.prefilling.remove(victim)
        else:
            self.decoding.remove(victim)
        self.cache.give_back(victim.blocks)
        victim.pending = victim.prompt + victim.generated
        victim.prefilled = 0
        victim.preemptions += 1
        self.queue.appendleft(victim)
        self.preempted.append(victim)


class WholePromptScheduler(Scheduler):
    """Whole prompts first, in steps of their own; decodes run when no prompt can be admitted.

    The order of vLLM before version 1 without chunked prefill (Kwon et al., SOSP 2023): it
    favours the time to first token over that between tokens. A prompt that alone is longer
    than `max_batched_tokens` runs in a step of its own.

    Parameters
    ----------
    max_batched_tokens
        Prompt tokens in one step.
    """

    def __init__(self, cache: KvCache, *, max_batch: int, max_batched_tokens: int) -> None:
        super().__init__(cache, max_batch=max_batch)
        self.max_batched_tokens = max_batched_tokens

    def next_step(self) -> StepPlan | None:
        """Return a step of prompts if one can be admitted, else of all decodes."""
        self.preempted = []
        chunks = tuple(self._admit())
        if chunks:
            return StepPlan(0, 0, chunks)
        if not len(self.decoding):
            return None
        self._make_room()
        return StepPlan(len(self.decoding), self.decoding.context_sum)

    def _leaves_room_for_prompts(self) -> bool:
        return True

    def _admit(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        tokens = 0
        while self.queue and self._can_admit(self.queue[0], 0):
            tokens += self.queue[0].pending
            if chunks and tokens > self.max_batched_tokens:
                break
            request = self._admit_head()
            chunks.append(Chunk(request, request.pending, 0))
        return chunks


class ChunkedPrefillScheduler(Scheduler):
    """Every step has all decodes, and prompt chunks up to a budget of tokens.

    Sarathi-Serve (Agrawal et al., OSDI 2024): decodes never wait for a long prompt. Prompts
    that were begun go on first, then new ones are admitted while tokens are left.

    Checked by: tests/workloads/test_inference_vidur.py (1,000 requests within 1 µs).

    Parameters
    ----------
    token_budget
        Tokens in one step, decodes and prompts together.
    """

    def __init__(self, cache: KvCache, *, max_batch: int, token_budget: int) -> None:
        super().__init__(cache, max_batch=max_batch)
        self.token_budget = token_budget

    def next_step(self) -> StepPlan | None:
        """Return a step of all decodes and of prompt chunks in what is left of the budget."""
        reserved_blocks = self._make_room()
        decodes, context_sum = len(self.decoding), self.decoding.context_sum
        budget = self.token_budget - decodes
        chunks: list[Chunk] = []
        for request in self.prefilling:
            budget = self._add_chunk(chunks, request, budget)
        while (
            budget > 0
            and self.queue
            and not self.preempted
            and self._can_admit(self.queue[0], reserved_blocks)
        ):
            budget = self._add_chunk(chunks, self._admit_head(), budget)
        return StepPlan(decodes, context_sum, tuple(chunks)) if decodes or chunks else None

    def _leaves_room_for_prompts(self) -> bool:
        return len(self.decoding) < self.token_budget

    @staticmethod
    def _add_chunk(chunks: list[Chunk], request: Request, budget: int) -> int:
        new = min(request.pending - request.prefilled, budget)
        if new > 0:
            chunks.append(Chunk(request, new, request.prefilled))
        return budget - max(new, 0)


def make_scheduler(spec: SchedulerSpec, cache: KvCache) -> Scheduler:
    """Make the scheduler that a spec describes."""
    if spec.chunked_prefill is not None:
        return ChunkedPrefillScheduler(cache, max_batch=spec.max_batch, token_budget=spec.chunked_prefill)
    return WholePromptScheduler(cache, max_batch=spec.max_batch, max_batched_tokens=spec.max_batched_tokens)
