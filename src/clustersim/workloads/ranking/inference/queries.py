"""Queries of a service as growing columns: some tens of bytes for each, no object."""

from __future__ import annotations

import math
from array import array

import numpy as np

__all__ = ["Queries"]

_NEVER = math.nan


class Queries:
    """What each query asks for and what happened to it; a query is a row.

    Columns are packed arrays, so that a million of them take about 50 MB.
    """

    __slots__ = (
        "arrival_s",
        "batch",
        "dispatched_s",
        "finish_s",
        "pieces",
        "replica",
        "samples",
        "submitted_s",
    )

    def __init__(self) -> None:
        self.arrival_s = array("d")
        """Simulated time of arrival."""
        self.samples = array("q")
        """Candidates."""
        self.submitted_s = array("d")
        """When it stood in the queue of its replica."""
        self.dispatched_s = array("d")
        """When the first of its pieces left the queue."""
        self.finish_s = array("d")
        """When its last piece was done; NaN before."""
        self.replica = array("i")
        """Who has it; −1 before."""
        self.batch = array("q")
        """Row of the batch with its last piece; −1 before."""
        self.pieces = array("i")
        """Pieces that are not done."""

    def __len__(self) -> int:
        return len(self.arrival_s)

    def add(self, arrival_s: float, samples: int) -> int:
        """Add a query; return its row."""
        self.arrival_s.append(arrival_s)
        self.samples.append(samples)
        self.submitted_s.append(_NEVER)
        self.dispatched_s.append(_NEVER)
        self.finish_s.append(_NEVER)
        self.replica.append(-1)
        self.batch.append(-1)
        self.pieces.append(0)
        return len(self.arrival_s) - 1

    def column(self, name: str) -> np.ndarray:
        """Return a copy of a column."""
        return np.array(getattr(self, name))
