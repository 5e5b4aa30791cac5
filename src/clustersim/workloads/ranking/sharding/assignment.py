"""Giving parts of tables to ranks: what costs most goes to the rank with least to do that has room for it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Assignment", "Item", "assign", "assign_in_turn"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """One part of a table, or a whole, that goes to one rank; or one part for each GPU of some node.

    Parameters
    ----------
    key
        What the caller knows it by.
    seconds, memory_bytes
        Of one part.
    """

    key: tuple[int, int]
    seconds: float
    memory_bytes: float
    for_node: bool = False


@dataclass(eq=False)
class Assignment:
    """Loads and memory of the ranks, and what went where.

    Parameters
    ----------
    seconds, free_bytes
        By rank; what every rank has of tables that all of them share is in already.
    """

    seconds: Numbers
    free_bytes: Numbers
    ranks_per_node: int
    rank_of: dict[tuple[int, int], int] = field(default_factory=dict)
    """Rank of each item; of an item for a node, the node's first."""

    @property
    def slowest_s(self) -> float:
        """Predicted time of the slowest rank."""
        return float(self.seconds.max(initial=0.0))

    def put(self, item: Item, rank: int) -> None:
        """Give an item to a rank, or to the node that begins with it."""
        held = slice(rank, rank + self.ranks_per_node) if item.for_node else slice(rank, rank + 1)
        self.seconds[held] += item.seconds
        self.free_bytes[held] -= item.memory_bytes
        self.rank_of[item.key] = rank


def assign(items: Sequence[Item], ranks: Assignment) -> Item | None:
    """Give all items to ranks, dearest first (Graham's longest processing time); return the first without room.

    Items for whole nodes go first, each to the node whose slowest rank has least to do. Of equal ranks the first
    takes the item, so that the same input gives the same plan.

    **Source:** Graham, SIAM J. Appl. Math. 17, 1969: at most 4/3 − 1/(3·ranks) of the best balance
    where memory does not bind. TorchRec `GreedyPerfPartitioner` does the same.
    """
    ordered = sorted(items, key=lambda item: (-item.seconds, -item.memory_bytes, item.key))
    for item in (each for each in ordered if each.for_node):
        node = _least_loaded_node(item, ranks)
        if node is None:
            return item
        ranks.put(item, node)
    return _to_ranks([each for each in ordered if not each.for_node], ranks)


def _least_loaded_node(item: Item, ranks: Assignment) -> int | None:
    fitting = [first for first in _places(item, ranks) if _has_room(item, ranks, first)]
    size = ranks.ranks_per_node
    return min(fitting, key=lambda first: (ranks.seconds[first : first + size].max(), first), default=None)


def _places(item: Item, ranks: Assignment) -> range:
    """Return the ranks that may take an item; for one of a whole node, the first ranks of whole nodes."""
    count, size = len(ranks.seconds), ranks.ranks_per_node
    return range(0, count - size + 1, size) if item.for_node else range(count)


def _has_room(item: Item, ranks: Assignment, rank: int) -> bool:
    end = rank + ranks.ranks_per_node if item.for_node else rank + 1
    return bool((ranks.free_bytes[rank:end] >= item.memory_bytes).all())


def _to_ranks(items: Sequence[Item], ranks: Assignment) -> Item | None:
    smallest = min((item.memory_bytes for item in items), default=0.0)
    queue = [(load, rank) for rank, load in enumerate(ranks.seconds.tolist())]
    heapq.heapify(queue)
    for item in items:
        passed = []
        while queue and ranks.free_bytes[queue[0][1]] < item.memory_bytes:
            entry = heapq.heappop(queue)
            if ranks.free_bytes[entry[1]] >= smallest:
                passed.append(entry)
        if not queue:
            return item
        load, rank = queue[0]
        ranks.put(item, rank)
        heapq.heapreplace(queue, (load + item.seconds, rank))
        for entry in passed:
            heapq.heappush(queue, entry)
    return None


def assign_in_turn(items: Sequence[Item], ranks: Assignment) -> Item | None:
    """Give items to ranks, or nodes, in turn in the order given; return the first without room."""
    for turn, item in enumerate(items):
        places = _places(item, ranks)
        order = (places[(turn + step) % len(places)] for step in range(len(places)))
        rank = next((place for place in order if _has_room(item, ranks, place)), None)
        if rank is None:
            return item
        ranks.put(item, rank)
    return None
