"""KV blocks that outlive their request, for prompts that begin alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clustersim.workloads.inference.cache.fetch import Fetch
from clustersim.workloads.inference.cache.kv_cache import KvCache, blocks_for
from clustersim.workloads.inference.cache.lower_tiers import LowerTiers
from clustersim.workloads.inference.cache.segments import Segment, segments_of
from clustersim.workloads.inference.cache.usage import CacheUsage
from clustersim.workloads.inference.requests import Request

__all__ = ["CacheCounts", "PrefixCache"]


@dataclass(slots=True)
class CacheCounts:
    """What a prefix cache has done so far."""

    prompt_tokens: int = 0
    """Tokens of the prompts that were admitted; what a preemption threw away does not count again."""
    found_tokens: int = 0
    """Those whose KV was in GPU memory."""
    fetched_tokens: int = 0
    """Those whose KV came from lower tiers."""
    evicted_blocks: int = 0


@dataclass(slots=True)
class _Node:
    """A segment in GPU memory, and how many running requests hold it."""

    segment: int
    blocks: int
    holders: int = 0


@dataclass(slots=True)
class _Held:
    """What a running request has in common with others, or will have."""

    segments: list[Segment]
    path: list[_Node]
    blocks: int
    """Of `path`."""
    below: Sequence[int] = ()
    """Tier of each segment after the path that lower tiers had at the admission."""


class _Match(NamedTuple):
    """What a request would find."""

    segments: list[Segment]
    usable: int
    """How many of `segments` lie within the tokens to be computed."""
    path: list[_Node]
    blocks: int
    """Of `path`."""
    idle_blocks: int
    """Of `path`, held by nobody."""


class PrefixCache(KvCache):
    """Paged KV memory in which blocks stay after their request, until others need their place.

    A radix tree over the ids of `Request.hashes` (SGLang's RadixAttention), which is the same as a table
    of blocks by the hash of all tokens up to their end (vLLM): an id implies all before it, so that the
    tree is one dictionary. What running requests hold is counted once and stays; the rest goes when blocks
    are needed, the least recently used first, whole ids at a time.

    A request finds the longest run of ids from its beginning that are in memory, at most its tokens less
    one: the last must be computed, for the next comes out of it. Its blocks become visible to others as
    they are computed, those of its answer too where its ids name them.

    *Invariant.* Blocks held by requests + idle ones + empty ones = total. A child is evicted before its
    parent, because requests hold whole paths and give them back from the leaf.

    Parameters
    ----------
    total_blocks, block_tokens, watermark, block_bytes
        As in `KvCache`.
    below
        Tiers that keep what GPU memory has no room for; None: it is lost.
    clock
        Returns the time, for `usage`; None: that is not recorded.

    **Valid when** equal ids mean equal KV (one model, the same adapters).
    **Source:** docs.vllm.ai, "Automatic Prefix Caching"; Zheng et al., "SGLang", NeurIPS 2024.
    **Checked by:** tests/workloads/test_prefix_cache.py (a plain tree of sets).
    """

    def __init__(
        self,
        total_blocks: int,
        *,
        block_tokens: int,
        watermark: float,
        block_bytes: float = 0.0,
        below: LowerTiers | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(
            total_blocks, block_tokens=block_tokens, watermark=watermark, block_bytes=block_bytes
        )
        self.below = below
        self.idle_blocks = 0
        """Blocks that are kept and that no running request holds."""
        self.counts = CacheCounts()
        self.usage = CacheUsage()
        self._clock = clock
        self._nodes: dict[int, _Node] = {}
        self._idle: OrderedDict[int, _Node] = OrderedDict()
        self._held: dict[int, _Held] = {}
        self._changes = 0
        self._known: tuple[tuple[int, int, int], _Match] | None = None

    @property
    def quiet_blocks(self) -> int:
        """Free blocks whose handing out moves nothing to lower tiers, which would begin too late."""
        if self.below is None or self.below.through:
            return self.free_blocks
        return self.free_blocks - self.idle_blocks

    def admits(self, request: Request, reserved_blocks: int = 0, *, tokens: int | None = None) -> bool:
        """Whether a new request may take what it does not find and still leave the watermark free."""
        match = self._match(request)
        fetched = sum(blocks for _, blocks in self._found_below(match)[0])
        taken = self._table(request, match, fetched, tokens) - match.blocks + match.idle_blocks
        return self.free_blocks - taken - reserved_blocks >= self.watermark_blocks

    def admit(self, request: Request, *, tokens: int | None = None) -> int:
        """Give a request its blocks; return how many tokens of `pending` are in them already."""
        match = self._match(request)
        below, tiers = self._found_below(match)
        self._held[request.index] = _Held(match.segments, match.path, match.blocks, tiers)
        for node in match.path:
            self._hold(node)
        fetched = sum(blocks for _, blocks in below)
        request.blocks = self._table(request, match, fetched, tokens)
        self.used_blocks += request.blocks - match.blocks
        self._make_place()
        self._changes += 1
        found = self._tokens(request, match.blocks)
        if _is_new(request):
            self.counts.prompt_tokens += request.pending
            self.counts.found_tokens += found
            request.cached = found
        return found

    def fetch(self, request: Request) -> Fetch | None:
        """Return what a request that was just admitted waits for; None: nothing."""
        held = self._held[request.index]
        if self.below is None or not held.below:
            return None
        start, end = len(held.path), len(held.path) + len(held.below)
        moves = self.below.take(held.segments, start, held.below)
        fetched = sum(blocks for _, blocks in held.segments[start:end])
        found, there = (self._tokens(request, held.blocks + more) for more in (0, fetched))
        if _is_new(request):
            self.counts.fetched_tokens += there - found
            request.cached = there
        return Fetch(there, moves)

    def computed(self, request: Request) -> None:
        """Make the full blocks of `prefilled` tokens visible to others."""
        self._share(self._held[request.index], request.prefilled // self.block_tokens)

    def extend(self, request: Request, tokens: int) -> None:
        """Give a request what it lacks to hold `tokens`; the scheduler has made sure that it is free."""
        super().extend(request, tokens)
        self._make_place()

    def grow(self, blocks: int) -> None:
        """Hand out blocks to decodes; the scheduler has made sure that they are free."""
        self.used_blocks += blocks
        self._make_place()

    def release(self, request: Request, *, finished: bool) -> None:
        """Take back the blocks of a request; those that others may use are kept."""
        held = self._held.pop(request.index)
        self._share(held, _computed_tokens(request) // self.block_tokens)
        self.used_blocks -= request.blocks - held.blocks
        for node in reversed(held.path):
            self._leave(node)
        request.blocks = 0
        self._changes += 1
        if self._clock is not None:
            self.usage.sample(self._clock(), self)

    def cached_tokens(self, request: Request) -> int:
        """Return how many tokens of its prompt a request would find, here or in lower tiers, without
        taking anything."""
        match = self._match(request)
        fetched = sum(blocks for _, blocks in self._found_below(match)[0])
        return self._tokens(request, match.blocks + fetched)

    def clear(self) -> None:
        """Forget everything: the replica failed. Drives and remote stores keep what they have."""
        super().clear()
        self._nodes.clear()
        self._idle.clear()
        self._held.clear()
        self.idle_blocks = 0
        self._changes += 1
        if self.below is not None:
            self.below.lost()

    # ---- finding

    def _match(self, request: Request) -> _Match:
        """Return what a request would find in GPU memory; as before, while nothing has changed."""
        tokens = request.pending or request.prompt
        key = (request.index, tokens, self._changes)
        if self._known is not None and self._known[0] == key:
            return self._known[1]
        segments = segments_of(request, self.block_tokens)
        usable = _usable(segments, tokens // self.block_tokens)
        path: list[_Node] = []
        for segment, blocks in segments[:usable]:
            node = self._nodes.get(segment)
            if node is None or node.blocks != blocks:
                break
            path.append(node)
        idle = sum(node.blocks for node in path if not node.holders)
        match = _Match(segments, usable, path, sum(node.blocks for node in path), idle)
        self._known = (key, match)
        return match

    def _found_below(self, match: _Match) -> tuple[Sequence[Segment], Sequence[int]]:
        """Return the segments after the path that lower tiers have, and the tier of each."""
        if self.below is None:
            return (), ()
        wanted = match.segments[len(match.path) : match.usable]
        tiers = self.below.find(wanted)
        return wanted[: len(tiers)], tiers

    def _table(self, request: Request, match: _Match, fetched: int, tokens: int | None) -> int:
        """Return the blocks that a request begins with: room for `tokens`, and for all that it finds."""
        return max(match.blocks + fetched, blocks_for(tokens or request.pending, self.block_tokens))

    def _tokens(self, request: Request, blocks: int) -> int:
        """Return the tokens that so many blocks spare; the last one must be computed."""
        tokens = request.pending or request.prompt
        return min(blocks, (tokens - 1) // self.block_tokens) * self.block_tokens

    # ---- holding

    def _share(self, held: _Held, there: int) -> None:
        """Let others use the segments of a request that lie in its first `there` blocks."""
        shared = len(held.path)
        new = 0
        for segment, blocks in held.segments[shared:]:
            if held.blocks + blocks > there:
                break
            node = self._nodes.get(segment)
            if node is None:
                node = self._nodes[segment] = _Node(segment, blocks, holders=1)
                new = len(held.path) + 1
            elif node.blocks != blocks:
                break
            else:
                # Another request has computed the same: one copy is enough.
                self._hold(node)
                self.used_blocks -= blocks
            held.path.append(node)
            held.blocks += blocks
        if len(held.path) > shared:
            self._changes += 1
        if new and self.below is not None:
            self.below.computed(held.segments[:new], new - shared)

    def _hold(self, node: _Node) -> None:
        if not node.holders:
            del self._idle[node.segment]
            self.idle_blocks -= node.blocks
            self.used_blocks += node.blocks
        node.holders += 1

    def _leave(self, node: _Node) -> None:
        node.holders -= 1
        if not node.holders:
            self._idle[node.segment] = node
            self.idle_blocks += node.blocks
            self.used_blocks -= node.blocks

    def _make_place(self) -> None:
        """Evict the least recently used until what is held and what is idle fit."""
        evicted: list[Segment] = []
        while self.used_blocks + self.idle_blocks > self.total_blocks:
            segment, node = self._idle.popitem(last=False)
            del self._nodes[segment]
            self.idle_blocks -= node.blocks
            self.counts.evicted_blocks += node.blocks
            evicted.append((segment, node.blocks))
        if evicted:
            self._changes += 1
            if self.below is not None:
                self.below.evicted(evicted)


def _usable(segments: Sequence[Segment], blocks: int) -> int:
    """Return how many segments lie within the first `blocks` blocks."""
    for place, (_, size) in enumerate(segments):
        blocks -= size
        if blocks < 0:
            return place
    return len(segments)


def _is_new(request: Request) -> bool:
    """Whether this is the first admission of a request whose prompt is computed here."""
    return not request.preemptions and not request.generated


def _computed_tokens(request: Request) -> int:
    """Return the tokens of a request whose KV is there: all but the last that was generated."""
    if request.prefilled < request.pending:
        return request.prefilled
    return request.prompt + request.generated - 1
