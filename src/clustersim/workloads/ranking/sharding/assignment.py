"""Giving parts of tables to ranks: what costs most goes to the rank with least to do that has room for it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Assignment", "Item", "Spread", "in_turn", "least_loaded_first", "most_room_first"]

Numbers = NDArray[np.float64]


class Item(NamedTuple):
    """One part of a table that goes to one rank; or one such part for each rank of some node.

    Parameters
    ----------
    key
        Number of the table, and of the part.
    seconds, memory_bytes
        Of one part.
    """

    key: tuple[int, int]
    seconds: float
    memory_bytes: float
    for_node: bool = False


Spread = Callable[[Sequence[Item], list[float], list[float]], "list[int] | Item"]
"""Chooses a place for each item, given loads and free bytes of the places; or the item that finds no room."""


@dataclass(eq=False)
class Assignment:
    """Loads and memory of the ranks, and what went where.

    Parameters
    ----------
    seconds, free_bytes
        By rank; what every rank has of tables that all of them share is in already.
    rank_of
        Rank of each item; of an item for a node, the node's first.
    """

    seconds: Numbers
    free_bytes: Numbers
    ranks_per_node: int
    rank_of: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def slowest_s(self) -> float:
        """Predicted time of the slowest rank."""
        return float(self.seconds.max(initial=0.0))

    def give(self, items: Sequence[Item], spread: Spread) -> Item | None:
        """Give all items to ranks, those for whole nodes first; return the first that finds no room."""
        for size, of_size in (
            (self.ranks_per_node, [item for item in items if item.for_node]),
            (1, [item for item in items if not item.for_node]),
        ):
            places = spread(of_size, *self._places(size)) if of_size else []
            if isinstance(places, Item):
                return places
            self._put(of_size, places, size)
        return None

    def _places(self, size: int) -> tuple[list[float], list[float]]:
        """Return loads and free bytes of the ranks, or of whole nodes: of their fullest rank."""
        whole = len(self.seconds) // size * size
        loads = self.seconds[:whole].reshape(-1, size).max(axis=1)
        free = self.free_bytes[:whole].reshape(-1, size).min(axis=1)
        return loads.tolist(), free.tolist()

    def _put(self, items: Sequence[Item], places: Sequence[int], size: int) -> None:
        count = len(self.seconds) // size
        seconds = np.bincount(places, weights=[item.seconds for item in items], minlength=count)
        taken = np.bincount(places, weights=[item.memory_bytes for item in items], minlength=count)
        self.seconds[: count * size] += np.repeat(seconds, size)
        self.free_bytes[: count * size] -= np.repeat(taken, size)
        self.rank_of |= {item.key: place * size for item, place in zip(items, places, strict=True)}


def least_loaded_first(items: Sequence[Item], loads: list[float], free: list[float]) -> list[int] | Item:
    """Give each item, dearest first, to the place with least to do that has room for it.

    Parts of one table go to different places. Of equal places the first takes the item, so that the
    same input gives the same plan.

    **Source:** Graham, SIAM J. Appl. Math. 17, 1969 (longest processing time first): at most
    4/3 − 1/(3·places) of the best balance where memory does not bind. TorchRec's `GreedyPerfPartitioner`
    does the same. **Checked by:** tests/workloads/ranking/test_sharding_assignment.py.
    """
    order = sorted(range(len(items)), key=lambda n: (-items[n].seconds, -items[n].memory_bytes, items[n].key))
    smallest = min((item.memory_bytes for item in items), default=0.0)
    queue = [(load, place) for place, load in enumerate(loads)]
    heapq.heapify(queue)
    parts_at: dict[int, set[int]] = {}
    chosen = [0] * len(items)
    for n in order:
        item = items[n]
        passed, having = [], parts_at.setdefault(item.key[0], set())
        while queue and (free[queue[0][1]] < item.memory_bytes or queue[0][1] in having):
            entry = heapq.heappop(queue)
            if free[entry[1]] >= smallest:
                passed.append(entry)
        if not queue:
            return item
        load, place = queue[0]
        chosen[n] = place
        having.add(place)
        free[place] -= item.memory_bytes
        heapq.heapreplace(queue, (load + item.seconds, place))
        for entry in passed:
            heapq.heappush(queue, entry)
    return chosen


def most_room_first(items: Sequence[Item], loads: list[float], free: list[float]) -> list[int] | Item:
    """Give each item, largest first, to the place with most room: for memory that is nearly full."""
    order = sorted(range(len(items)), key=lambda n: (-items[n].memory_bytes, items[n].key))
    queue = [(-room, load, place) for place, (room, load) in enumerate(zip(free, loads, strict=True))]
    heapq.heapify(queue)
    chosen = [0] * len(items)
    for n in order:
        room, load, place = queue[0]
        if -room < items[n].memory_bytes:
            return items[n]
        chosen[n] = place
        heapq.heapreplace(queue, (room + items[n].memory_bytes, load + items[n].seconds, place))
    return chosen


def in_turn(items: Sequence[Item], loads: list[float], free: list[float]) -> list[int] | Item:
    """Give items to places in turn, in the order of the tables; a place without room is passed over."""
    chosen = []
    for turn, item in enumerate(items):
        order = ((turn + step) % len(loads) for step in range(len(loads)))
        place = next((place for place in order if free[place] >= item.memory_bytes), None)
        if place is None:
            return item
        free[place] -= item.memory_bytes
        chosen.append(place)
    return chosen
