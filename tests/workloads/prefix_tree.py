"""A slow, readable prefix cache: a tree of nodes with sets of holders, walked anew for every question."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TreeNode:
    """One id of a prompt after those before it."""

    blocks: int
    children: dict[int, TreeNode] = field(default_factory=dict)
    holders: set[int] = field(default_factory=set)
    left_at: int = 0


class PrefixTree:
    """The semantics of `PrefixCache` without short cuts."""

    def __init__(self, total_blocks: int, *, block_tokens: int, watermark_blocks: int) -> None:
        self.total_blocks = total_blocks
        self.block_tokens = block_tokens
        self.watermark_blocks = watermark_blocks
        self.root = TreeNode(0)
        self.own: dict[int, int] = {}
        """Blocks of each running request that nobody else may use."""
        self.evicted_blocks = 0
        self.evicted: list[int] = []
        self.clock = 0

    def nodes(self, node: TreeNode | None = None) -> list[TreeNode]:
        """All nodes."""
        node = node or self.root
        found = list(node.children.values())
        return found + [below for child in found for below in self.nodes(child)]

    @property
    def used_blocks(self) -> int:
        return sum(self.own.values()) + sum(node.blocks for node in self.nodes() if node.holders)

    @property
    def idle_blocks(self) -> int:
        return sum(node.blocks for node in self.nodes() if not node.holders)

    def find(self, segments, limit_blocks: int) -> list[TreeNode]:
        """The longest path of segments within so many blocks."""
        path, node = [], self.root
        for segment, blocks in segments:
            node = node.children.get(segment)
            if node is None or sum(one.blocks for one in path) + blocks > limit_blocks:
                break
            path.append(node)
        return path

    def admits(self, pending: int, segments) -> bool:
        path = self.find(segments, pending // self.block_tokens)
        table = -(-pending // self.block_tokens)
        held = sum(node.blocks for node in path if node.holders)
        return self.total_blocks - self.used_blocks - (table - held) >= self.watermark_blocks

    def admit(self, request: int, pending: int, segments) -> int:
        path = self.find(segments, pending // self.block_tokens)
        for node in path:
            node.holders.add(request)
        found = sum(node.blocks for node in path)
        self.own[request] = -(-pending // self.block_tokens) - found
        self.shrink()
        return min(found, (pending - 1) // self.block_tokens) * self.block_tokens

    def computed(self, request: int, tokens: int, segments) -> None:
        """Make nodes of what lies in the first tokens."""
        node, there = self.root, 0
        for segment, blocks in segments:
            there += blocks
            if there > tokens // self.block_tokens:
                break
            child = node.children.setdefault(segment, TreeNode(blocks))
            if request not in child.holders:
                child.holders.add(request)
                self.own[request] -= blocks
            node = child

    def grow(self, request: int, blocks: int) -> None:
        self.own[request] += blocks
        self.shrink()

    def release(self, request: int, tokens: int, segments) -> None:
        self.computed(request, tokens, segments)
        del self.own[request]
        path = [node for node in self.find(segments, self.total_blocks) if request in node.holders]
        for node in reversed(path):
            node.holders.remove(request)
            self.clock += 1
            node.left_at = self.clock

    def shrink(self) -> None:
        """Evict the leaf that was left first, until everything fits."""
        while self.used_blocks + self.idle_blocks > self.total_blocks:
            parent, segment = min(
                (
                    (node, segment)
                    for node in [self.root, *self.nodes()]
                    for segment, child in node.children.items()
                    if not child.holders and not child.children
                ),
                key=lambda place: place[0].children[place[1]].left_at,
            )
            self.evicted_blocks += parent.children.pop(segment).blocks
            self.evicted.append(segment)
