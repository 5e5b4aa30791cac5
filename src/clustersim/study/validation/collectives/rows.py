"""A row of a table of collectives, and the ranges of message sizes that errors are told for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clustersim.study.validation.framework import Row

__all__ = ["MIB", "RANGES", "CollectiveRow", "range_of"]

MIB = 2.0**20
RANGES = (
    ("< 64 KiB", MIB / 16),
    ("64 KiB - 1 MiB", MIB),
    ("1 - 64 MiB", 64 * MIB + 1),
    ("> 64 MiB", math.inf),
)
"""Name of each range of message sizes, and the size where it ends."""


@dataclass(frozen=True)
class CollectiveRow(Row):
    """A row that also knows what report and plot need.

    Parameters
    ----------
    table, system, library
        As the table has them.
    hardware, assumed
        What was understood, and what was taken though the words do not say it.
    kind
        As `Communicator` calls it, without ranks.
    bus_factor
        What nccl-tests multiplies size/time with.
    """

    table: str = ""
    system: str = ""
    library: str = ""
    hardware: str = ""
    assumed: tuple[str, ...] = ()
    kind: str = ""
    nodes: int = 1
    ranks: int = 0
    bus_factor: float = 1.0


def range_of(size_bytes: float) -> int:
    """Return the index in `RANGES` of a message size."""
    return next(index for index, (_, end) in enumerate(RANGES) if size_bytes < end)
