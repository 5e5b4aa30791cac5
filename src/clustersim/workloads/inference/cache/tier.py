"""One tier below GPU memory: what it stores, the least recently used first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

__all__ = ["StoredTier", "TierKind"]

TierKind = Literal["host", "nvme", "remote"]


class StoredTier:
    """A bounded store of prefix segments with least-recently-used eviction.

    A segment is the blocks that one id of `Request.hashes` names; it is stored and evicted whole.
    Segments of one prompt are stored and used with the last one first, so that the oldest is always
    one that no other stored segment of the same tier begins with.

    Parameters
    ----------
    kind
        Where it is.
    capacity_blocks
        KV blocks that it has room for.
    shared
        Whether replicas share it, so that it outlives each of them.
    """

    def __init__(self, kind: TierKind, *, capacity_blocks: int, shared: bool = False) -> None:
        self.kind = kind
        self.capacity_blocks = capacity_blocks
        self.shared = shared
        self.used_blocks = 0
        self.evicted_blocks = 0
        self._segments: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._segments)

    def holds(self, segment: int, blocks: int) -> bool:
        """Whether it stores a segment of so many blocks."""
        return self._segments.get(segment) == blocks

    def touch(self, segment: int) -> None:
        """Note that a stored segment was used now."""
        self._segments.move_to_end(segment)

    def store(self, segment: int, blocks: int) -> list[tuple[int, int]]:
        """Take a segment in; return what had to go for it (segment, blocks), the oldest first.

        What is larger than the tier is not stored, and is returned itself.
        """
        if blocks > self.capacity_blocks:
            return [(segment, blocks)]
        self.used_blocks += blocks - self._segments.pop(segment, 0)
        self._segments[segment] = blocks
        evicted = []
        while self.used_blocks > self.capacity_blocks:
            oldest = self._segments.popitem(last=False)
            self.used_blocks -= oldest[1]
            self.evicted_blocks += oldest[1]
            evicted.append(oldest)
        return evicted

    def clear(self) -> None:
        """Lose everything, as when the host fails."""
        self._segments.clear()
        self.used_blocks = 0
