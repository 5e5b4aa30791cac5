"""Orca and static batching: each request reserves the KV blocks of the longest that may come."""

from __future__ import annotations

from typing import Any

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch
from clustersim.workloads.inference.scheduling.plan import Chunk, StepPlan
from clustersim.workloads.inference.scheduling.scheduler import Scheduler

__all__ = ["OrcaScheduler", "ReservedDecodes", "StaticScheduler"]


class ReservedDecodes(DecodeBatch):
    """Decodes that have had all of their blocks since they were admitted."""

    def blocks_needed(self, steps: int) -> int:
        """Return 0."""
        return 0

    def steps_within(self, free_blocks: int, limit: int) -> int:
        """Return the limit: blocks never run out."""
        return limit

    def needs_block(self, request: Request) -> bool:
        """Return False."""
        return False

    def _forget(self, request: Request, *, generated: int) -> None:
        blocks = request.blocks
        super()._forget(request, generated=generated)
        request.blocks = blocks


class OrcaScheduler(Scheduler):
    """Iteration-level scheduling: requests join and leave the batch at every step.

    A step has all decodes and the whole prompts of requests that are new (selective batching:
    attention runs request by request, everything else on all tokens together). Nobody is
    preempted, for each has reserved the memory of the longest request. With several pipeline stages
    each of the steps under way may have `max_batch` requests.

    Parameters
    ----------
    max_batched_tokens
        Prompt tokens in one step; a longer prompt comes alone.
    reserved_tokens
        Tokens whose KV blocks each request reserves.
    options
        Of `Scheduler`.

    **Source:** Yu et al., OSDI 2022, algorithm 1.

    **Checked by:** tests/workloads/test_inference_policies.py (a plain loop).
    """

    def __init__(
        self,
        cache: KvCache,
        *,
        max_batch: int,
        max_batched_tokens: int,
        reserved_tokens: int,
        **options: Any,
    ) -> None:
        options["decoding"] = ReservedDecodes(cache.block_tokens)
        super().__init__(cache, max_batch=max_batch * options.get("pipeline", 1), **options)
        self.max_batched_tokens = max_batched_tokens
        self._reserved_tokens = reserved_tokens

    def _plan(self) -> StepPlan | None:
        lane = self._lane()
        chunks = [
            Chunk(request, request.pending - request.prefilled, request.prefilled)
            for request in self.prefilling
        ]
        tokens = sum(chunk.new for chunk in chunks)
        while len(self.queue) and len(lane) + len(chunks) < self._most_together:
            head = self.queue.head()
            tokens += head.pending
            if not self._may_admit(head) or (chunks and tokens > self.max_batched_tokens):
                break
            request = self._admit(tokens=self._reserved_tokens)
            if request is not None:
                chunks.append(Chunk(request, request.pending - request.prefilled, request.prefilled))
        return self._step(lane, tuple(chunks))

    def _leaves_room_for_prompts(self) -> bool:
        return True

    def _may_admit(self, request: Request) -> bool:
        return self._can_admit(request, tokens=self._reserved_tokens)


class StaticScheduler(OrcaScheduler):
    """Request-level batching: a batch runs until its longest answer is done, then the next begins.

    Requests that are done leave the computation; their blocks come back with the batch's last.

    **Source:** FasterTransformer as Yu et al., OSDI 2022, section 3.1, describe it, but answers are
    given when they are done and padding is not computed.

    **Checked by:** tests/workloads/test_inference_policies.py (a plain loop).
    """

    def __init__(self, cache: KvCache, **options: Any) -> None:
        super().__init__(cache, **options)
        self._done: list[Request] = []

    def abort(self) -> list[Request]:
        """Lose everything, the blocks of those that are done as well."""
        self._done = []
        return super().abort()

    def _plan(self) -> StepPlan | None:
        if len(self.decoding):
            return self._step(self.decoding)
        for request in self._done:
            self.cache.release(request, finished=True)
        self._done = []
        return super()._plan()

    def _leaves_room_for_prompts(self) -> bool:
        return not len(self.decoding)

    def _finish(self, finished: list[Request]) -> None:
        self.running -= len(finished)
        self._done += finished
