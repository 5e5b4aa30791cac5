"""Paged KV memory of one replica, counted in blocks."""

from __future__ import annotations

from clustersim.errors import CannotRunError
from clustersim.workloads.inference.cache.fetch import Fetch
from clustersim.workloads.inference.requests import Request

__all__ = ["Fetch", "KvCache", "blocks_for"]


def blocks_for(tokens: int, block_tokens: int) -> int:
    """Return the blocks that hold `tokens`: ⌈tokens / block_tokens⌉."""
    return -(-tokens // block_tokens)


class KvCache:
    """Blocks of a fixed number of tokens; a request holds whole blocks (vLLM, SOSP 2023).

    Parameters
    ----------
    total_blocks
        Blocks of the replica. With tensor parallelism each GPU holds its heads' part of every
        block, so that one count stands for all of them.
    block_tokens
        Tokens in one block.
    watermark
        Fraction of the blocks that admission of a new request leaves free.
    block_bytes
        Bytes of one block on one GPU, for what is moved to the host.
    """

    def __init__(
        self, total_blocks: int, *, block_tokens: int, watermark: float, block_bytes: float = 0.0
    ) -> None:
        if total_blocks < 1:
            raise CannotRunError(f"a KV cache of {total_blocks} blocks holds nothing; it needs at least one")
        self.total_blocks = total_blocks
        self.block_tokens = block_tokens
        self.block_bytes = block_bytes
        self.watermark_blocks = int(watermark * total_blocks)
        self.used_blocks = 0

    @property
    def free_blocks(self) -> int:
        """Blocks that no running request holds."""
        return self.total_blocks - self.used_blocks

    @property
    def quiet_blocks(self) -> int:
        """Free blocks that may be handed out at the end of a run of steps as well as step by step."""
        return self.free_blocks

    def admits(self, request: Request, reserved_blocks: int = 0, *, tokens: int | None = None) -> bool:
        """Whether a new request may take its blocks and still leave the watermark free.

        Parameters
        ----------
        request
            Who asks; it needs what its `pending` tokens fill.
        reserved_blocks
            Free blocks that are promised to others.
        tokens
            Tokens that it must have room for, in place of `pending`.
        """
        needed = -(-(tokens or request.pending) // self.block_tokens)
        return self.total_blocks - self.used_blocks - needed - reserved_blocks >= self.watermark_blocks

    def admit(self, request: Request, *, tokens: int | None = None) -> int:
        """Give a request its blocks; return how many tokens of `pending` are in them already."""
        request.blocks = -(-(tokens or request.pending) // self.block_tokens)
        self.used_blocks += request.blocks
        return 0

    def fetch(self, request: Request) -> Fetch | None:
        """Return what a request that was just admitted waits for; None: nothing."""
        return None

    def missing(self, request: Request, tokens: int) -> int:
        """Return the blocks that a request lacks to hold `tokens`."""
        return max(0, blocks_for(tokens, self.block_tokens) - request.blocks)

    def extend(self, request: Request, tokens: int) -> None:
        """Give a request what it lacks to hold `tokens`; the scheduler has made sure that it is free."""
        blocks = self.missing(request, tokens)
        request.blocks += blocks
        self.used_blocks += blocks

    def grow(self, blocks: int) -> None:
        """Hand out blocks to decodes; the scheduler has made sure that they are free."""
        self.used_blocks += blocks

    def computed(self, request: Request) -> None:
        """Note that the KV of `prefilled` tokens of a request is there now."""

    def release(self, request: Request, *, finished: bool) -> None:
        """Take back the blocks of a request that finished, was preempted or was aborted."""
        self.used_blocks -= request.blocks
        request.blocks = 0

    def cached_tokens(self, request: Request) -> int:
        """Return how many tokens of its prompt a request would find, without taking anything."""
        return 0

    def clear(self) -> None:
        """Forget everything: the replica failed."""
        self.used_blocks = 0
