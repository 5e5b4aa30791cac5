"""What the workers of a pool did, one row per batch, packed."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["BatchLog"]

_COLUMNS = {
    "dispatched_s": "d",
    "end_s": "d",
    "waited_s": "d",
    "factor": "d",
    "samples": "q",
    "queries": "i",
    "replica": "i",
    "worker": "i",
    "profile": "i",
}


class BatchLog:
    """Append-only rows; seconds on the network are kept sparse, as (row, resource, seconds).

    What batches of one profile spend on host and device is kept with the profile, once.
    """

    def __init__(self) -> None:
        self._columns = {name: array(kind) for name, kind in _COLUMNS.items()}
        self._adders: tuple[Callable[[Any], None], ...] = tuple(
            column.append for column in self._columns.values()
        )
        self._ends = self._columns["end_s"]
        self.resources: dict[str, int] = {}
        self._entry_row = array("q")
        self._entry_resource = array("i")
        self._entry_seconds = array("d")

    def __len__(self) -> int:
        return len(self._ends)

    def append(
        self,
        dispatched_s: float,
        end_s: float,
        waited_s: float,
        factor: float,
        samples: int,
        queries: int,
        replica: int,
        worker: int,
        profile: int,
        network_s: Mapping[str, float] | None,
    ) -> int:
        """Add a batch that is done; return its row.

        Parameters
        ----------
        dispatched_s, end_s
            When it left the queue and when its results were there.
        waited_s
            Of that, waiting for copies and kernels of other batches.
        factor
            How many times as long as its profile says host and device took.
        samples, queries
            In the batch; a query with several pieces in it counts once for each.
        replica, worker, profile
            Who did it, and where its seconds on host and device are.
        network_s
            Seconds by resource that the network took.
        """
        if network_s:
            self._note_network(network_s)
        row = len(self._ends)
        values = (dispatched_s, end_s, waited_s, factor, samples, queries, replica, worker, profile)
        for add, value in zip(self._adders, values, strict=True):
            add(value)
        return row

    def _note_network(self, network_s: Mapping[str, float]) -> None:
        for resource, value in network_s.items():
            self._entry_row.append(len(self._ends))
            self._entry_resource.append(self.resources.setdefault(resource, len(self.resources)))
            self._entry_seconds.append(value)

    def column(self, name: str) -> np.ndarray:
        """Return a copy of one column, called as a parameter of `append`."""
        return np.array(self._columns[name])

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return seconds on the network, sparse: rows, resource numbers (see `resources`), seconds."""
        return np.array(self._entry_row), np.array(self._entry_resource), np.array(self._entry_seconds)
