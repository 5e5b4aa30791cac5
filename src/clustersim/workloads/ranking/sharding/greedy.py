"""The greedy planner: several ways to divide dear tables, each given to ranks dearest part first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustersim.spec.ranking.sharding import ShardingKind
from clustersim.workloads.ranking.sharding.assignment import (
    Assignment,
    Item,
    Spread,
    in_turn,
    least_loaded_first,
    most_room_first,
)
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.options import Option, TablesToPlace

__all__ = ["EVERY_WAY", "Found", "GreedyPlanner", "NoRoom", "Way"]

Numbers = NDArray[np.float64]

_SHARES_OF_MEAN = (1.0, 0.5, 0.25, 0.125)
"""Tables are divided that cost more than such a share of the mean rank's time."""

_REFINEMENTS = 20
"""Rounds at the most (HugeCTR, `max_search_iter`)."""
_EVEN_ENOUGH = 1.05
"""Slowest rank over the mean from which on nothing is divided further."""

Way = Literal["columns", "all ranks", "some ranks", "nodes"]
"""How a dear table is divided: columns; rows over all ranks (TorchRec's row-wise) or over as many as needed
(HugeCTR's splits); rows over all ranks of one node or several (HugeCTR's hierarchical plans)."""

EVERY_WAY: tuple[Way, ...] = ("columns", "all ranks", "some ranks", "nodes")


@dataclass(frozen=True)
class NoRoom:
    """The table for which no rank had room."""

    table: int
    memory_bytes: float


@dataclass(frozen=True, eq=False)
class Found:
    """Options of all tables, and the ranks that their parts went to."""

    options: tuple[Option, ...]
    ranks: Assignment


@dataclass(frozen=True, kw_only=True, eq=False)
class GreedyPlanner:
    """Chooses options and ranks for tables.

    Parameters
    ----------
    fixed
        Option of each table where the scenario says it; None: free.
    placed
        Tables that have their ranks already; they are in the loads that it begins with.
    loads_s, free_bytes
        By rank, before any table is placed.
    min_columns
        Least columns of a part.
    replicate_below
        Bytes of the largest table that every rank holds.
    ways
        In which tables may be divided; where `nodes` is the only one, no table has less than a node.
    """

    tables: TablesToPlace
    devices: Devices
    fixed: Sequence[Option | None]
    placed: NDArray[np.bool_]
    loads_s: Numbers
    free_bytes: Numbers
    min_columns: int
    replicate_below: float = 0.0
    ways: tuple[Way, ...] = EVERY_WAY

    def search(self) -> Found | NoRoom:
        """Return the candidate whose slowest rank is fastest; the first one's lack of room if none fits."""
        whole, *divided = self._candidates()
        tried = [self.assigned(whole, (least_loaded_first, in_turn)), *map(self.assigned, divided)]
        found = [each for each in tried if isinstance(each, Found)]
        if not found:
            return tried[0]
        return self._refined(min(found, key=lambda each: each.ranks.slowest_s))

    def _refined(self, found: Found) -> Found:
        """Divide the dearest part of the slowest rank further, as long as that makes the slowest rank faster.

        **Source:** HugeCTR's planner (samples/dlrm/sharding/planner.py) splits its hottest shard so.
        """
        for _ in range(_REFINEMENTS):
            seconds = found.ranks.seconds
            table = self._dearest_on(int(seconds.argmax()), found)
            if table is None or seconds.max() <= _EVEN_ENOUGH * seconds.mean():
                return found
            options = list(found.options)
            tried = [
                self.assigned([*options[:table], option, *options[table + 1 :]])
                for option in self._once_finer(table, options[table])
            ]
            better = [each for each in tried if isinstance(each, Found)]
            best = min(better, key=lambda each: each.ranks.slowest_s, default=found)
            if best.ranks.slowest_s >= found.ranks.slowest_s:
                return found
            found = best
        return found

    def _dearest_on(self, rank: int, found: Found) -> int | None:
        """Return the free table whose part costs a rank most, of those that not every rank has."""
        size = self.devices.ranks_per_node
        held = {
            table
            for (table, _), first in found.ranks.rank_of.items()
            if self.fixed[table] is None
            and (
                first == rank
                or (found.options[table].kind == "table-row-wise" and first == rank // size * size)
            )
        }
        return max(held, key=lambda n: (self.tables.price(found.options[n]).seconds[n], -n), default=None)

    def _once_finer(self, table: int, option: Option) -> Iterator[Option]:
        """Yield the ways to divide a table into about twice as many parts."""
        for way in self.ways:
            finer = self._finer(table, 2 * option.parts, way)
            if finer != option and finer.parts > option.parts:
                yield finer

    def assigned(
        self, options: Sequence[Option], spreads: Sequence[Spread] = (least_loaded_first,)
    ) -> Found | NoRoom:
        """Give the parts of all tables, divided so, to ranks, in the way of several that is fastest.

        Where none finds room, largest first.
        """
        tried = [self._spread(options, spread) for spread in spreads]
        found = [each for each in tried if isinstance(each, Found)]
        if not found:
            return self._spread(options, most_room_first)
        return min(found, key=lambda each: each.ranks.slowest_s)

    def _spread(self, options: Sequence[Option], spread: Spread) -> Found | NoRoom:
        ranks = Assignment(self.loads_s.copy(), self.free_bytes.copy(), self.devices.ranks_per_node)
        items: list[Item] = []
        for option, which in _by_option(options, ~self.placed):
            price = self.tables.price(option)
            if self.is_everywhere(option):
                ranks.seconds += price.seconds[which].sum()
                ranks.free_bytes -= price.memory_bytes[which].sum()
            else:
                items += self._items(option, which)
        if (ranks.free_bytes < 0.0).any():
            return self._largest(options)
        without_room = ranks.give(items, spread)
        if without_room is not None:
            return NoRoom(without_room.key[0], without_room.memory_bytes)
        return Found(tuple(options), ranks)

    def is_everywhere(self, option: Option) -> bool:
        """Whether every rank has a part."""
        return option.kind == "data-parallel" or option.parts == self.devices.ranks > 1

    def whole_rows(self) -> Option:
        """Return row-wise division over all ranks."""
        return Option("row-wise", self.devices.ranks)

    def option(self, kind: ShardingKind, table: int, parts: int | None = None) -> Option:
        """Return how a table is divided by a kind, into a number of parts or as many as the kind has."""
        if kind in ("table-wise", "data-parallel"):
            return Option(kind)
        if kind == "row-wise":
            return Option(kind, parts or self.devices.ranks)
        if kind == "table-row-wise":
            return Option(kind, parts or self.devices.ranks_per_node)
        width = int(self.tables.dimension[table])
        return Option(kind, parts or min(self.devices.ranks, -(-width // self.min_columns)))

    def _items(self, option: Option, which: NDArray[np.intp]) -> list[Item]:
        price = self.tables.price(option)
        for_node = option.kind == "table-row-wise"
        count = option.parts // self.devices.ranks_per_node if for_node else option.parts
        return [
            Item((table, part), seconds, memory, for_node)
            for table, seconds, memory in zip(
                which.tolist(), price.seconds[which].tolist(), price.memory_bytes[which].tolist(), strict=True
            )
            for part in range(count)
        ]

    def _largest(self, options: Sequence[Option]) -> NoRoom:
        sizes = [self.tables.price(option).memory_bytes[n] for n, option in enumerate(options)]
        table = int(np.argmax(np.where(self.placed, 0.0, sizes)))
        return NoRoom(table, float(sizes[table]))

    def _candidates(self) -> Iterator[list[Option]]:
        whole = self._whole()
        yield whole
        seconds = np.array(
            [self.tables.price(option).seconds[n] * option.parts for n, option in enumerate(whole)]
        )
        mean_s = float(seconds[~self.placed].sum() + self.loads_s.sum()) / self.devices.ranks
        tried = {tuple(whole)}
        for way, share in product(self.ways, _SHARES_OF_MEAN):
            divided = self._divided(whole, seconds, share * mean_s, way)
            if tuple(divided) not in tried:
                tried.add(tuple(divided))
                yield divided
        rows = self._divided(whole, seconds, 0.0, "nodes" if self._whole_nodes else "all ranks")
        if tuple(rows) not in tried:
            yield rows

    @property
    def _whole_nodes(self) -> bool:
        return self.ways == ("nodes",) and self.devices.nodes > 1

    def _whole(self) -> list[Option]:
        """Return all tables whole, but for those that are too large for a GPU or small enough for each."""
        price = self.tables.price(Option("table-wise"))
        room = float(self.free_bytes.max())
        options = []
        for table, size in enumerate(price.memory_bytes.tolist()):
            free = self._over_nodes(1) if self._whole_nodes else Option("table-wise")
            if size <= self.replicate_below:
                free = Option("data-parallel")
            elif size / free.parts > room:
                free = self._small_enough(table, room)
            options.append(self.fixed[table] or free)
        return options

    def _small_enough(self, table: int, room: float) -> Option:
        """Return the fewest parts of columns that fit a GPU each, or rows over all ranks."""
        if self._whole_nodes:
            return self._over_nodes(self.devices.nodes)
        most = self.option("column-wise", table).parts
        size = self.tables.price(Option("table-wise")).memory_bytes[table]
        parts = next((count for count in _powers(most) if size / count <= room), None)
        return Option("column-wise", parts) if parts else self.whole_rows()

    def _divided(self, whole: Sequence[Option], seconds: Numbers, limit_s: float, way: Way) -> list[Option]:
        """Return options in which no free table's part is to cost more than a limit, where a way allows."""
        options = list(whole)
        for table in np.flatnonzero(seconds > limit_s).tolist():
            if self.fixed[table] is None and whole[table].kind != "data-parallel":
                wanted = math.ceil(math.log2(max(seconds[table] / max(limit_s, 1e-30), 2.0)))
                options[table] = self._finer(table, 2 ** min(wanted, 30), way)
        return options

    def _finer(self, table: int, wanted: int, way: Way) -> Option:
        """Return a way to divide a table into about so many parts; rows where it has too few columns."""
        if way == "nodes" and self.devices.nodes > 1:
            return self._over_nodes(wanted // self.devices.ranks_per_node)
        most = self.option("column-wise", table).parts
        if way == "columns" and most > 1:
            return Option("column-wise", max(each for each in _powers(most) if each <= max(wanted, 2)))
        if way == "some ranks":
            return Option("row-wise", min(wanted, self.devices.ranks))
        return self.whole_rows()

    def _over_nodes(self, count: int) -> Option:
        """Return rows over all ranks of about so many nodes."""
        group = self.devices.ranks_per_node
        return Option("table-row-wise", group * min(max(count, 1), self.devices.ranks // group))


def _powers(most: int) -> list[int]:
    """Return the powers of two from 2 up to `most`, which is one of them though it may be none."""
    return sorted({*(2**exponent for exponent in range(1, most.bit_length())), most} - {1})


def _by_option(
    options: Sequence[Option], wanted: NDArray[np.bool_]
) -> Iterator[tuple[Option, NDArray[np.intp]]]:
    number = {option: n for n, option in enumerate(dict.fromkeys(options))}
    chosen = np.array([number[option] for option in options])
    for option, n in number.items():
        yield option, np.flatnonzero((chosen == n) & wanted)
