"""The requests of one replica that generate tokens, counted together.

A decode step must not cost time per request: what all of them need is kept as sums, and
what happens to one of them waits on a heap until its step.
"""

from __future__ import annotations

import heapq
from collections.abc import Container

from clustersim.workloads.inference.cache.kv_cache import blocks_for
from clustersim.workloads.inference.requests import Request

__all__ = ["DecodeBatch"]


class DecodeBatch:
    """Running decodes with O(1) work per step and O(log n) per arrival and departure.

    `step` counts decode steps of the replica. A request that joins at step c with p cached
    tokens attends to p + 1 + i tokens in its i-th step from there, and needs a new block
    before step s exactly if (p + s − c) is a multiple of the block: requests of the same
    phase (c − p) mod block_tokens need theirs together.
    """

    decode_tokens = 1
    """Rows of the step's matrix products for each request."""

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.step = 0
        self.context_sum = 0
        """Tokens that the next step attends to, over all requests."""
        self._phases = [0] * block_tokens
        self._departures: list[tuple[int, int, Request]] = []

    def __len__(self) -> int:
        return len(self._departures)

    @property
    def requests(self) -> list[Request]:
        """The requests, in no particular order."""
        return [entry[2] for entry in self._departures]

    def needs_block(self, request: Request) -> bool:
        """Whether one of the requests needs a new block for the next step."""
        departure = next(entry[0] for entry in self._departures if entry[2] is request)
        return self._cached(request, departure) % self.block_tokens == 0

    @property
    def steps_to_departure(self) -> int:
        """Steps after which the next request has all of its tokens."""
        return self._departures[0][0] - self.step

    def join(self, request: Request) -> None:
        """Add a request whose prefill has just ended; its tokens in cache are `pending`."""
        heapq.heappush(
            self._departures, (self.step + request.output - request.generated, request.index, request)
        )
        self.context_sum += request.pending + 1
        self._phases[(self.step - request.pending) % self.block_tokens] += 1

    def blocks_needed(self, steps: int) -> int:
        """Return the new blocks that the next `steps` steps take."""
        if steps == 1:
            return self._phases[self.step % self.block_tokens]
        cycles, rest = divmod(steps, self.block_tokens)
        start = self.step % self.block_tokens
        phases = self._phases
        needed = cycles * len(self._departures) + sum(phases[start : start + rest])
        wrapped = start + rest - self.block_tokens
        return needed + sum(phases[:wrapped]) if wrapped > 0 else needed

    def steps_within(self, free_blocks: int, limit: int) -> int:
        """Return how many steps, at most `limit`, can run on `free_blocks` new blocks."""
        if self.blocks_needed(limit) <= free_blocks:
            return limit
        steps = free_blocks // len(self._departures) * self.block_tokens
        needed = self.blocks_needed(steps)
        while True:
            needed += self._phases[(self.step + steps) % self.block_tokens]
            if needed > free_blocks:
                return steps
            steps += 1

    def advance(self, steps: int) -> list[Request]:
        """Run steps; return the requests that have all of their tokens now, oldest index first."""
        self.step += steps
        self.context_sum += steps * len(self._departures)
        done: list[Request] = []
        while self._departures and self._departures[0][0] <= self.step:
            request = heapq.heappop(self._departures)[2]
            self._forget(request, generated=request.output)
            done.append(request)
        return done

    def remove(self, request: Request) -> None:
        """Take out a request that is preempted, and bring its `generated` up to date."""
        position = next(i for i, entry in enumerate(self._departures) if entry[2] is request)
        departure = self._departures[position][0]
        self._departures[position] = self._departures[-1]
        self._departures.pop()
        heapq.heapify(self._departures)
        self._forget(request, generated=request.output - (departure - self.step))

    def alike(self) -> DecodeBatch:
        """Return an empty batch of the same kind."""
        return type(self)(self.block_tokens)

    def leave_all(self, chosen: Container[Request] | None = None) -> list[Request]:
        """Take out the chosen requests, or all, ready to join another batch."""
        moving = [entry for entry in self._departures if chosen is None or entry[2] in chosen]
        staying = [] if chosen is None else [entry for entry in self._departures if entry[2] not in chosen]
        heapq.heapify(staying)
        self._departures = staying
        for departure, _, request in moving:
            self._forget(request, generated=request.output - (departure - self.step))
        return [request for _, _, request in moving]

    def part(self, chosen: Container[Request]) -> DecodeBatch:
        """Move the chosen requests into a batch of their own."""
        part = self.alike()
        for request in self.leave_all(chosen):
            part.join(request)
        return part

    def clear(self) -> None:
        """Forget all requests: the replica failed."""
        self._departures.clear()
        self._phases = [0] * self.block_tokens
        self.context_sum = 0

    def _cached(self, request: Request, departure: int) -> int:
        """Tokens of a request whose keys and values are in the cache."""
        return request.pending + (request.output - (departure - self.step)) - request.generated

    def _forget(self, request: Request, *, generated: int) -> None:
        cached = request.pending + generated - request.generated
        self.context_sum -= cached + 1
        self._phases[(self.step - cached) % self.block_tokens] -= 1
        request.blocks = blocks_for(cached, self.block_tokens)
        request.pending = cached
        request.generated = generated
