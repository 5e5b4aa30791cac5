"""Shards: rectangles of embedding tables and the ranks that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["EVERY_RANK", "Shard", "Shards", "even_cuts"]

EVERY_RANK: Final = -1
"""Rank of a shard of which each rank holds a copy."""

Whole = NDArray[np.int64]


class Shard(NamedTuple):
    """A rectangle of a table on a rank."""

    table: int
    """Number of the table in the model."""
    rank: int
    """Rank that holds it, or `EVERY_RANK`."""
    first_row: int
    rows: int
    first_column: int
    columns: int


@dataclass(frozen=True, eq=False)
class Shards:
    """Many shards as arrays, one per field of `Shard`: 1,000 tables over 1,000 ranks are a million."""

    table: Whole
    rank: Whole
    first_row: Whole
    rows: Whole
    first_column: Whole
    columns: Whole

    @classmethod
    def of(cls, parts: Iterable[Shards]) -> Shards:
        """Put several sets one behind the other, in order of rank, then table."""
        parts = list(parts)
        joined = cls(
            *(
                np.concatenate([getattr(part, field) for part in parts] or [np.zeros(0, dtype=np.int64)])
                for field in Shard._fields
            )
        )
        return joined.take(np.lexsort((joined.first_column, joined.first_row, joined.table, joined.rank)))

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Shards:
        """Return some of the shards."""
        return Shards(*(getattr(self, field)[which] for field in Shard._fields))

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Shard]:
        columns = (getattr(self, field).tolist() for field in Shard._fields)
        return (Shard(*values) for values in zip(*columns, strict=True))


def even_cuts(length: int, parts: int) -> Whole:
    """Return where parts of a length begin, and its end: blocks of ⌈length/parts⌉, the last ones smaller.

    **Source:** Row-wise sharding of TorchRec: blocks of equal size from the first on.
    """
    block = -(-length // parts)
    return np.minimum(np.arange(parts + 1, dtype=np.int64) * block, length)
