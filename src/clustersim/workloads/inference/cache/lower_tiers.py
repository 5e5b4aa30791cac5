"""The tiers below GPU memory: what is copied down, and where a prefix is found again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from clustersim.workloads.inference.cache.fetch import HBM, Move
from clustersim.workloads.inference.cache.segments import Segment
from clustersim.workloads.inference.cache.tier import StoredTier

__all__ = ["LowerTiers"]


class LowerTiers:
    """Stored prefix segments of one replica, tier by tier, and the moves that keep them so.

    With `through` a segment is copied to every tier once it is computed (vLLM's way, and SGLang's where it
    is set as its guide does), so that evicting it moves nothing; with `back` it is copied to the next tier
    when it is evicted from the one above. What a tier has already is not copied again. A segment that is
    fetched stays where it was found.

    Parameters
    ----------
    tiers
        From the fastest; a shared one is the same object for all replicas.
    write
        When segments are copied down.

    **Valid when** copies are short against the time that a segment stays above: it counts as stored, and
    its blocks above as free, from when its copy begins.
    **Source:** vLLM's OffloadingConnector copies blocks as they are produced (docs.min.io/memkv, "vLLM native
    offloading"); docs.sglang.io, "HiCache Best Practices" (write_through) and "HiCache System Design"
    (write_back); Qin et al., "Mooncake", FAST 2025 (pooled host memory).
    **Checked by:** tests/workloads/test_kv_tiers.py.
    """

    def __init__(self, tiers: Sequence[StoredTier], *, write: Literal["through", "back"]) -> None:
        self.tiers = tuple(tiers)
        self.written_blocks = [0] * len(self.tiers)
        self.fetched_blocks = [0] * len(self.tiers)
        self.on_moves: Callable[[Sequence[Move]], None] | None = None
        """Told what is copied down, once per occasion."""
        self.through = write == "through"
        """Whether evicting moves nothing."""
        self._moves: dict[tuple[int, int], int] = {}

    def find(self, segments: Sequence[Segment]) -> list[int]:
        """Return the uppermost tier of each segment, up to the first that no tier has."""
        found: list[int] = []
        for segment, blocks in segments:
            tier = next((i for i, tier in enumerate(self.tiers) if tier.holds(segment, blocks)), None)
            if tier is None:
                break
            found.append(tier)
        return found

    def take(self, segments: Sequence[Segment], start: int, found: Sequence[int]) -> tuple[Move, ...]:
        """Return the moves that bring up the segments from the `start`-th on, each found in its tier.

        Their prefix counts as used now.
        """
        moves: dict[int, int] = {}
        for (_, blocks), tier in zip(segments[start:], found, strict=False):
            moves[tier] = moves.get(tier, 0) + blocks
            self.fetched_blocks[tier] += blocks
        self._touch(segments[: start + len(found)])
        return tuple(Move(tier, HBM, blocks) for tier, blocks in moves.items())

    def computed(self, path: Sequence[Segment], new: int) -> None:
        """Note that the last `new` segments of a prefix have come into GPU memory."""
        if not self.through or not new:
            return
        for segment, blocks in reversed(path[-new:]):
            for number, tier in enumerate(self.tiers):
                if not tier.holds(segment, blocks):
                    tier.store(segment, blocks)
                    self._copy(self._above(number), number, segment, blocks)
        self._touch(path)
        self._tell()

    def evicted(self, segments: Sequence[Segment]) -> None:
        """Note that segments lose their place in GPU memory, the oldest first."""
        if self.through:
            return
        for segment, blocks in segments:
            self._push_down(segment, blocks, source=HBM, target=0)
        self._tell()

    def lost(self) -> None:
        """Note that the replica has failed: what is in its host's memory is lost with it."""
        for tier in self.tiers:
            if tier.kind == "host" and not tier.shared:
                tier.clear()

    def _push_down(self, segment: int, blocks: int, *, source: int, target: int) -> None:
        if target == len(self.tiers):
            return
        tier = self.tiers[target]
        if tier.holds(segment, blocks):
            tier.touch(segment)
            return
        evicted = tier.store(segment, blocks)
        self._copy(source, target, segment, blocks)
        for other, its_blocks in evicted:
            self._push_down(
                other, its_blocks, source=source if other == segment else target, target=target + 1
            )

    def _above(self, number: int) -> int:
        """From where a tier is filled: host memory, where KV passes it anyway; else GPU memory."""
        return 0 if number > 0 and self.tiers[0].kind == "host" else HBM

    def _touch(self, path: Sequence[Segment]) -> None:
        for segment, blocks in reversed(path):
            for tier in self.tiers:
                if tier.holds(segment, blocks):
                    tier.touch(segment)

    def _copy(self, source: int, target: int, segment: int, blocks: int) -> None:
        """Note a copy to a tier that has taken the segment; one that is too small for it has not."""
        if not self.tiers[target].holds(segment, blocks):
            return
        self._moves[source, target] = self._moves.get((source, target), 0) + blocks
        self.written_blocks[target] += blocks

    def _tell(self) -> None:
        moves = [Move(*places, blocks) for places, blocks in self._moves.items()]
        self._moves.clear()
        if moves and self.on_moves is not None:
            self.on_moves(moves)
