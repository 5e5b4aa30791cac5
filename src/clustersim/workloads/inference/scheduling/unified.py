"""vLLM version 1: one budget of tokens per step, without telling prompts from decodes."""

from __future__ import annotations

from collections import deque
from typing import Any

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch
from clustersim.workloads.inference.scheduling.plan import Chunk, StepPlan
from clustersim.workloads.inference.scheduling.scheduler import Scheduler

__all__ = ["UnifiedScheduler"]


class UnifiedScheduler(Scheduler):
    """Running requests first, in the order of admission, then waiting ones, out of one budget.

    Every request asks for the tokens that it lacks: a decode for one, a prompt for its rest, at
    most `long_prefill`. It takes the blocks of these tokens alone. Where a running request finds
    no block, the last of them loses its own and is computed again; nobody is admitted then.

    Parameters
    ----------
    token_budget
        Tokens in one step.
    long_prefill
        Most prompt tokens of one request in a step.
    options
        Of `Scheduler`.

    **Source:** vLLM 0.8, `vllm/v1/core/sched/scheduler.py`, `Scheduler.schedule`; with ranks
    (priority, shortest job) running requests go by rank as well.

    **Checked by:** tests/workloads/test_inference_policies.py (a plain loop).
    """

    _spare_blocks = 0

    def __init__(
        self,
        cache: KvCache,
        *,
        max_batch: int,
        token_budget: int,
        long_prefill: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(cache, max_batch=max_batch, **options)
        self.token_budget = token_budget
        self._long_prefill = long_prefill or token_budget

    def _plan(self) -> StepPlan | None:
        lane = self._lane()
        chunks = self._all_together(lane)
        if chunks is None:
            lane, chunks = self._one_by_one(lane)
        budget = self.token_budget - len(lane) * lane.decode_tokens - sum(chunk.new for chunk in chunks)
        if budget > 0 and len(self.queue) and not self.preempted:
            self._admit_within(budget, lane, chunks)
        return self._step(lane, tuple(chunks))

    def _all_together(self, lane: DecodeBatch) -> list[Chunk] | None:
        """Return the chunks of running prompts, where nobody stands in another's way; else None."""
        free_blocks = self.cache.free_blocks
        if not self.prefilling:
            fits = lane.blocks_needed(1) <= free_blocks
            return [] if fits and len(lane) * lane.decode_tokens <= self.token_budget else None
        news = [min(request.pending - request.prefilled, self._long_prefill) for request in self.prefilling]
        if len(lane) * lane.decode_tokens + sum(news) > self.token_budget and not self._only_last(lane, news):
            return None
        chunks = [
            Chunk(request, new, request.prefilled)
            for request, new in zip(self.prefilling, news, strict=True)
            if new > 0
        ]
        missing = sum(self.cache.missing(chunk.request, chunk.past + chunk.new) for chunk in chunks)
        if missing + lane.blocks_needed(1) > free_blocks:
            return None
        for chunk in chunks:
            self.cache.extend(chunk.request, chunk.past + chunk.new)
        return chunks

    def _only_last(self, lane: DecodeBatch, news: list[int]) -> bool:
        """Whether one prompt, behind all decodes, can take what they leave of the budget; cut it to that."""
        left = self.token_budget - len(lane) * lane.decode_tokens
        place = self._place(self.prefilling[0])
        if len(news) > 1 or left < 0 or any(self._place(request) > place for request in lane.requests):
            return False
        news[0] = left
        return True

    def _one_by_one(self, lane: DecodeBatch) -> tuple[DecodeBatch, list[Chunk]]:
        """Give running requests tokens and blocks in their order, and take blocks from the last."""
        order = deque(sorted(self._idle(lane), key=self._place))
        decodes: set[Request] = set()
        chunks: list[Chunk] = []
        budget, reserved = self.token_budget, 0
        while order and budget > 0:
            request = order.popleft()
            new, blocks = self._wants(request, lane, budget)
            while blocks > self.cache.free_blocks - reserved and order:
                self._preempt(order.pop(), lane)
            if blocks > self.cache.free_blocks - reserved:
                self._preempt(request, lane)
                break
            budget -= new
            if request in self.prefilling:
                chunks.append(Chunk(request, new, request.prefilled))
                self.cache.extend(request, request.prefilled + new)
            else:
                decodes.add(request)
                reserved += blocks
        return (lane if len(decodes) == len(lane) else self._apart(lane, decodes)), chunks

    def _wants(self, request: Request, lane: DecodeBatch, budget: int) -> tuple[int, int]:
        """Tokens that a running request gets, and the blocks that it lacks for them."""
        if request in self.prefilling:
            new = min(request.pending - request.prefilled, self._long_prefill, budget)
            return new, self.cache.missing(request, request.prefilled + new)
        return lane.decode_tokens, int(lane.needs_block(request))

    def _apart(self, lane: DecodeBatch, decodes: set[Request]) -> DecodeBatch:
        """Leave out the decodes for which no tokens were left."""
        part = lane.part(decodes)
        if lane is not self.decoding:
            self._merge(lane)
        return part

    def _admit_within(self, budget: int, lane: DecodeBatch, chunks: list[Chunk]) -> None:
        reserved_blocks = lane.blocks_needed(1)
        while budget > 0 and len(self.queue) and len(lane) + len(chunks) < self._most_together:
            head = self.queue.head()
            found = self.cache.cached_tokens(head)
            new = head.pending - found
            if head not in self._brings:  # what is brought comes at once
                new = min(new, self._long_prefill, budget)
            if not self._can_admit(head, reserved_blocks, tokens=found + new):
                break
            request = self._admit(tokens=found + new)
            if request is not None:
                new = min(request.pending - request.prefilled, new)
                chunks.append(Chunk(request, new, request.prefilled))
                budget -= new

    def _place(self, request: Request) -> tuple[float, ...]:
        """By admission; by rank where the queue has ranks."""
        return self.queue.rank(request) if self.queue.ranked else (request.turn,)

    def _leaves_room_for_prompts(self) -> bool:
        return len(self.decoding) * self.decoding.decode_tokens < self.token_budget

    def _may_admit(self, request: Request) -> bool:
        return self._can_admit(request, tokens=1)
