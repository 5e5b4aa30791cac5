"""What an engine step computes, and what it brought about."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch

__all__ = ["Chunk", "Completed", "StepPlan"]


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
    """What the next step computes: the tokens of `decodes` requests, and prompt chunks."""

    lane: DecodeBatch
    """The decodes."""
    decodes: int
    """How many requests decode."""
    context_sum: int
    """Tokens that the decodes attend to, all together."""
    chunks: tuple[Chunk, ...] = ()
    swapped_out_blocks: int = 0
    """KV blocks that must be in host memory before the step begins."""
    swapped_in_blocks: int = 0
    """KV blocks that must be back from host memory before the step begins."""

    @property
    def tokens(self) -> int:
        """Rows of every matrix product of the step."""
        decoded = self.decodes * self.lane.decode_tokens
        return decoded + sum([chunk[1] for chunk in self.chunks]) if self.chunks else decoded

    @property
    def sampled(self) -> int:
        """Rows for which the next token is sampled."""
        decoded = self.decodes * self.lane.decode_tokens
        return decoded + sum([chunk.completes_prompt for chunk in self.chunks])

    def work(self, steps: int) -> tuple[int, int, int]:
        """Return what is worked on in `steps` repetitions: tokens, pairs of a token and one that it attends
        to, and tokens whose keys and values are read; each decode reads one more every time."""
        tokens, pairs = self.decodes * self.lane.decode_tokens * steps, self.context_sum * steps
        if steps > 1:
            pairs += self.decodes * (steps * (steps - 1) // 2)
        read = pairs
        for _, new, past in self.chunks:
            tokens += new * steps
            pairs += new * (2 * past + new + 1) // 2
            read += past + new
        return tokens, pairs, read

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
    handed_over: list[Request]
    """Requests whose prompt is computed, and that are decoded elsewhere."""
    peak_blocks: int
    """KV blocks in use at the end, before finished requests gave theirs back."""
