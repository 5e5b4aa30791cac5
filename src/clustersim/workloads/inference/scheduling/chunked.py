"""Sarathi-Serve: prompts in chunks beside the decodes of every step."""

from __future__ import annotations

from typing import Any

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch
from clustersim.workloads.inference.scheduling.plan import Chunk, StepPlan
from clustersim.workloads.inference.scheduling.scheduler import Scheduler

__all__ = ["ChunkedPrefillScheduler"]


class ChunkedPrefillScheduler(Scheduler):
    """Every step has all decodes, and prompt chunks up to a budget of tokens.

    Decodes never wait for a long prompt. Prompts that were begun go on first, then new ones
    are admitted while tokens are left. The blocks of a whole prompt are taken at once.

    Parameters
    ----------
    token_budget
        Tokens in one step, decodes and prompts together.
    vidur_rules
        Whether a prompt that loses its blocks half computed goes on as Vidur has it: what was computed
        becomes the prompt, and the rest of it is generated token by token.
    options
        Of `Scheduler`.

    **Source:** Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with
    Sarathi-Serve", OSDI 2024, algorithm 3.

    **Checked by:** tests/workloads/test_inference_vidur.py (1,000 requests within 1 µs).
    """

    def __init__(
        self, cache: KvCache, *, max_batch: int, token_budget: int, vidur_rules: bool = False, **options: Any
    ) -> None:
        super().__init__(cache, max_batch=max_batch, **options)
        self.token_budget = token_budget
        self._vidur_rules = vidur_rules
        self._lengths: dict[Request, tuple[int, int]] = {}
        """Prompt and output of requests whose prompt was cut short."""

    def _plan(self) -> StepPlan | None:
        lane = self._lane()
        reserved_blocks = self._make_room(lane)
        moved = 0
        if self.swap is not None:
            moved = self._swap_in(lane)
            reserved_blocks = lane.blocks_needed(1)
        decodes = len(lane)
        budget = self.token_budget - decodes * lane.decode_tokens
        chunks: list[Chunk] = []
        if self.prefilling:
            for request in self._prompts_under_way():
                budget = self._add_chunk(chunks, request, budget)
        queue = self.queue
        while budget > 0 and len(queue) and decodes + len(chunks) < self._most_together:
            if not self._can_admit(queue.head(), reserved_blocks):
                break
            admitted = self._admit()
            if admitted is not None:
                budget = self._add_chunk(chunks, admitted, budget)
        return self._step(lane, tuple(chunks), swapped_in=moved)

    def _prompts_under_way(self) -> list[Request]:
        if len(self.prefilling) == 1:
            return self.prefilling
        return sorted(self.prefilling, key=self._place)

    def _place(self, request: Request) -> tuple[float, ...]:
        """By admission, those first that were left over; by rank where the queue has ranks."""
        if self.queue.ranked:
            return self.queue.rank(request)
        return (request not in self._left_over, request.turn)

    def _preempt(self, victim: Request, lane: DecodeBatch) -> None:
        if self._vidur_rules and victim in self.prefilling:
            self._lengths.setdefault(victim, (victim.prompt, victim.output))
            total = victim.prompt + victim.output
            victim.prompt = victim.prefilled - victim.generated
            victim.output = total - victim.prompt
        super()._preempt(victim, lane)

    def _finish(self, finished: list[Request]) -> None:
        super()._finish(finished)
        if self._lengths:
            for request in finished:
                request.prompt, request.output = self._lengths.pop(request, (request.prompt, request.output))

    def _leaves_room_for_prompts(self) -> bool:
        return len(self.decoding) * self.decoding.decode_tokens < self.token_budget

    @staticmethod
    def _add_chunk(chunks: list[Chunk], request: Request, budget: int) -> int:
        new = min(request.pending - request.prefilled, budget)
        if new <= 0:
            return budget
        chunks.append(Chunk(request, new, request.prefilled))
        return budget - new
