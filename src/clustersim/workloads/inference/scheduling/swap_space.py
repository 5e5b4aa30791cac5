"""Host memory that preempted decodes are swapped out to."""

from __future__ import annotations

from collections import deque

from clustersim.workloads.inference.requests import Request

__all__ = ["SwapSpace"]


class SwapSpace:
    """KV blocks in host memory, and the requests that they belong to, first out, first in.

    Parameters
    ----------
    total_blocks
        How many there are. A request that finds no room is computed again instead.
    """

    def __init__(self, total_blocks: int) -> None:
        self.total_blocks = total_blocks
        self.used_blocks = 0
        self.requests: deque[Request] = deque()
        self._blocks: deque[int] = deque()
        self._moved_out = 0

    def take(self, request: Request) -> bool:
        """Swap a request out with the blocks that it holds; return whether there was room."""
        if self.used_blocks + request.blocks > self.total_blocks:
            return False
        self.requests.append(request)
        self._blocks.append(request.blocks)
        self.used_blocks += request.blocks
        self._moved_out += request.blocks
        return True

    def give_back(self) -> int:
        """Take the first request out of host memory; return its blocks."""
        self.requests.popleft()
        blocks = self._blocks.popleft()
        self.used_blocks -= blocks
        return blocks

    def moved_out(self) -> int:
        """Return the blocks that were swapped out since the last call."""
        moved, self._moved_out = self._moved_out, 0
        return moved

    def clear(self) -> None:
        """Forget everything: the replica failed."""
        self.requests.clear()
        self._blocks.clear()
        self.used_blocks = self._moved_out = 0
