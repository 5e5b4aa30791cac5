"""Requests that decode speculatively: a step brings each of them one to k + 1 tokens."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass

from clustersim.workloads.inference.cache.kv_cache import blocks_for
from clustersim.workloads.inference.requests import Request
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch

__all__ = ["SpeculativeBatch", "accepted"]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def accepted(seed: int, request: int, position: int, *, acceptance: float, guesses: int) -> int:
    """Return how many of the guesses at a position of a request's answer are accepted.

    *Equation.* min(k, ⌊ln u / ln a⌋), u uniform on (0, 1]: guesses are accepted one after the other, each
    with chance a, until one is not. u is a hash of seed, request and position (splitmix64, Steele et al.,
    OOPSLA 2014): what is guessed right depends on the text, not on when it is computed, so that variants
    of a scenario accept the same guesses.

    **Checked by:** tests/cost/test_speculation.py.
    """
    if acceptance <= 0.0:
        return 0
    mixed = _mix(_mix(seed ^ _mix(request + 1)) + position)
    uniform = (mixed + 1) / (1 << 64)
    return min(guesses, int(math.log(uniform) / math.log(acceptance)))


def _mix(value: int) -> int:
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@dataclass(slots=True)
class _Progress:
    """Where a request stands: its tokens in the cache, those that came out, its blocks."""

    cached: int
    generated: int
    blocks: int


class SpeculativeBatch(DecodeBatch):
    """Running decodes, each with tokens of its own number per step: O(requests) work in every step.

    A request holds blocks for its next k + 1 tokens before the step (vLLM's look-ahead slots), keeps what
    it has, and attends to what was accepted.

    Parameters
    ----------
    guesses
        k, tokens guessed in each step.
    acceptance
        Chance that a guess is accepted if those before it were.
    seed
        Of the draws.

    **Valid when** acceptance does not depend on request or position.
    """

    def __init__(self, block_tokens: int, *, guesses: int, acceptance: float, seed: int) -> None:
        super().__init__(block_tokens)
        self.decode_tokens = guesses + 1
        self._draws = (guesses, acceptance, seed)
        self._running: dict[Request, _Progress] = {}
        self._needed: int | None = 0

    def __len__(self) -> int:
        return len(self._running)

    @property
    def requests(self) -> list[Request]:
        """The requests, in the order in which they joined."""
        return list(self._running)

    @property
    def steps_to_departure(self) -> int:
        """One: what a step brings is known when it is over."""
        return 1

    def needs_block(self, request: Request) -> bool:
        """Whether one of the requests needs a new block for the next step."""
        return self._missing(request, self._running[request]) > 0

    def join(self, request: Request) -> None:
        """Add a request whose prefill has just ended; its tokens in cache are `pending`."""
        self._running[request] = _Progress(request.pending, request.generated, request.blocks)
        self.context_sum += request.pending + 1
        self._needed = None

    def blocks_needed(self, steps: int) -> int:
        """Return the new blocks of the next step; of more than one is never asked."""
        if not steps:
            return 0
        if self._needed is None:
            self._needed = sum(self._missing(*running) for running in self._running.items())
        return self._needed

    def steps_within(self, free_blocks: int, limit: int) -> int:
        """Return whether a step can run on `free_blocks` new blocks, as 1 or 0."""
        return min(limit, int(self.blocks_needed(1) <= free_blocks))

    def advance(self, steps: int) -> list[Request]:
        """Run a step; return the requests that have all of their tokens now, oldest index first."""
        guesses, acceptance, seed = self._draws
        self.step += steps
        self._needed = None
        done: list[Request] = []
        for request, progress in self._running.items():
            progress.blocks += self._missing(request, progress)
            right = accepted(seed, request.index, progress.generated, acceptance=acceptance, guesses=guesses)
            tokens = min(right + 1, request.output - progress.generated)
            progress.cached += tokens
            progress.generated += tokens
            self.context_sum += tokens
            if progress.generated == request.output:
                done.append(request)
        for request in done:
            self.remove(request)
        return sorted(done, key=lambda request: request.index)

    def remove(self, request: Request) -> None:
        """Take out a request, and bring it up to date."""
        progress = self._running.pop(request)
        self.context_sum -= progress.cached + 1
        self._needed = None
        request.pending = progress.cached
        request.generated = progress.generated
        request.blocks = progress.blocks

    def alike(self) -> SpeculativeBatch:
        """Return an empty batch of the same kind."""
        guesses, acceptance, seed = self._draws
        return SpeculativeBatch(self.block_tokens, guesses=guesses, acceptance=acceptance, seed=seed)

    def leave_all(self, chosen: Container[Request] | None = None) -> list[Request]:
        """Take out the chosen requests, or all, ready to join another batch."""
        moving = [request for request in self._running if chosen is None or request in chosen]
        for request in moving:
            self.remove(request)
        return moving

    def clear(self) -> None:
        """Forget all requests: the replica failed."""
        self._running.clear()
        self.context_sum = 0
        self._needed = 0

    def _missing(self, request: Request, progress: _Progress) -> int:
        """Return the blocks that a request lacks for all tokens that its next step may bring."""
        tokens = min(self.decode_tokens, request.output - progress.generated)
        return max(0, blocks_for(progress.cached + tokens, self.block_tokens) - progress.blocks)
