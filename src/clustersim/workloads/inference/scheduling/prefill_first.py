"""vLLM before version 1: whole prompts in steps of their own, before any decode."""

from __future__ import annotations

from typing import Any

from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.plan import Chunk, StepPlan
from clustersim.workloads.inference.scheduling.scheduler import Scheduler

__all__ = ["PrefillFirstScheduler"]


class PrefillFirstScheduler(Scheduler):
    """Whole prompts first, in steps of their own; decodes run when no prompt can be admitted.

    The order of vLLM before version 1 without chunked prefill: it favours the time to first
    token over that between tokens. A prompt that alone is longer than `max_batched_tokens`
    runs in a step of its own. While requests are swapped out no prompt is admitted.

    Parameters
    ----------
    max_batched_tokens
        Prompt tokens in one step.
    pad_prompts
        Whether each prompt of a step counts as the longest of them against that limit.
    options
        Of `Scheduler`.

    **Source:** Kwon et al., SOSP 2023, section 4.5; vLLM 0.5 `Scheduler._schedule_default`.

    **Checked by:** tests/workloads/test_inference_skip_ahead.py (a plain loop), and
    tests/workloads/test_inference_vidur_replay.py (another simulator's rules).
    """

    def __init__(
        self,
        cache: KvCache,
        *,
        max_batch: int,
        max_batched_tokens: int,
        pad_prompts: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(cache, max_batch=max_batch, **options)
        self.max_batched_tokens = max_batched_tokens
        self._pad_prompts = pad_prompts

    def _plan(self) -> StepPlan | None:
        chunks = self._prompts()
        if chunks:
            return (
                StepPlan(self.decoding.alike(), 0, 0, tuple(chunks))
                if self.pipeline > 1
                else StepPlan(self.decoding, 0, 0, tuple(chunks))
            )
        lane = self._lane()
        self._make_room(lane)
        moved = self._swap_in(lane)
        return self._step(lane, swapped_in=moved)

    def _leaves_room_for_prompts(self) -> bool:
        return self.swap is None or not self.swap.requests

    def _prompts(self) -> list[Chunk]:
        """Admit prompts for a step of their own, and take those whose prefix has been loaded."""
        chunks = [self._rest_of(request) for request in self.prefilling]
        news = [chunk.new for chunk in chunks]
        while len(self.queue) and self._leaves_room_for_prompts() and len(chunks) < self._most_together:
            head = self.queue.head()
            news.append(head.pending - self.cache.cached_tokens(head))
            if not self._can_admit(head) or (chunks and self._tokens(news) > self.max_batched_tokens):
                break
            request = self._admit()
            if request is not None:
                chunks.append(self._rest_of(request))
        return chunks

    def _tokens(self, news: list[int]) -> int:
        return len(news) * max(news) if self._pad_prompts else sum(news)

    @staticmethod
    def _rest_of(request: Request) -> Chunk:
        return Chunk(request, request.pending - request.prefilled, request.prefilled)
