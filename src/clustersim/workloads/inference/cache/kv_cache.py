"""Paged KV memory of one replica, counted in blocks."""

from __future__ import annotations

from clustersim.errors import CannotRunError

__all__ = ["KvCache", "blocks_for"]


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
    """

    def __init__(self, total_blocks: int, *, block_tokens: int, watermark: float) -> None:
        if total_blocks < 1:
            raise CannotRunError(f"a KV cache of {total_blocks} blocks holds nothing; it needs at least one")
        self.total_blocks = total_blocks
        self.block_tokens = block_tokens
        self.watermark_blocks = int(watermark * total_blocks)
        self.used_blocks = 0

    @property
    def free_blocks(self) -> int:
        """Blocks that no request holds."""
        return self.total_blocks - self.used_blocks

    def admits(self, blocks: int) -> bool:
        """Whether a new request may take `blocks` and still leave the watermark free."""
        return self.free_blocks - blocks >= self.watermark_blocks

    def take(self, blocks: int) -> None:
        """Hand out blocks; the scheduler has made sure that they are free."""
        self.used_blocks += blocks

    def give_back(self, blocks: int) -> None:
        """Return blocks of a request that finished or was preempted."""
        self.used_blocks -= blocks
