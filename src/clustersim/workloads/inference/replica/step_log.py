"""What one replica's engine did, one row per step or run of alike steps, packed."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH

__all__ = ["StepLog"]

_OWN = {COMPUTE: "compute_s", MEMORY_BANDWIDTH: "memory_s", HOST: "host_s"}
"""Resources of the replica itself, and the columns of their seconds."""

_COLUMNS = {
    "start_s": "d",
    "end_s": "d",
    "first_s": "d",
    "compute_s": "d",
    "memory_s": "d",
    "host_s": "d",
    "steps": "q",
    "tokens": "q",
    "pairs": "q",
    "kv_tokens": "q",
    "batch": "i",
    "decodes": "i",
    "kv_start_blocks": "i",
    "kv_end_blocks": "i",
    "queued": "i",
    "slot": "b",
}
"""Columns and their types, which `struct` and numpy name alike."""
_ROW = struct.Struct("<" + "".join(_COLUMNS.values()))
_DTYPE = np.dtype([(name, "<" + kind) for name, kind in _COLUMNS.items()])
_END_S = struct.Struct("<8xd")
_BLOCK_ROWS = 1024
"""Rows in one piece of memory: a log that grows as a whole leaves holes wherever it was."""


class StepLog:
    """Append-only rows; seconds on the network are kept sparse, as (row, resource, seconds).

    A run of decode steps that was computed in closed form is one row. Requests are admitted
    at the start of a row and finish at the end of one, so that sums over rows give the
    seconds of a request.
    """

    bytes_per_row = _ROW.size

    def __init__(self) -> None:
        self._rows = bytearray()
        self._blocks = [self._rows]
        self._length = 0
        self.joins = (array("q"), array("i"), array("d"), array("b"))
        """Row, request, time of its last token, slot: it begins to decode with the next row of the slot.
        NaN for the time: it decoded in another slot until now."""
        self.leaves = (array("q"), array("i"))
        """Row, request: it does not decode from this row on, for it lost its blocks."""
        self.resources: dict[str, int] = {name: number for number, name in enumerate(_OWN)}
        self._entry_row = array("q")
        self._entry_resource = array("i")
        self._entry_seconds = array("d")

    def __len__(self) -> int:
        return self._length

    def append(
        self,
        start_s: float,
        end_s: float,
        first_s: float,
        own_s: tuple[float, float, float],
        steps: int,
        tokens: int,
        pairs: int,
        kv_tokens: int,
        batch: int,
        decodes: int,
        kv_start_blocks: int,
        kv_end_blocks: int,
        queued: int,
        slot: int = 0,
        network_s: Mapping[str, float] | None = None,
    ) -> None:
        """Add a row.

        Parameters
        ----------
        first_s
            Seconds of the first step of the row; the others grow from it evenly.
        own_s
            Seconds of arithmetic, memory bandwidth and host; with `network_s`, by resource,
            they add up to `end_s - start_s` where no batch waits for another.
        steps, tokens
            Steps of the row, and tokens computed in all of them.
        pairs
            Pairs of a token and one that it attends to: what attention computes.
        kv_tokens
            Tokens whose keys and values attention reads.
        batch, decodes
            Requests in each step, and those of them that got tokens by decoding.
        queued
            Requests waiting at the end.
        slot
            Which of the batches that pass through a pipeline at the same time.
        """
        if network_s:
            self._note_network(network_s)
        if len(self._rows) == _BLOCK_ROWS * _ROW.size:
            self._rows = bytearray()
            self._blocks.append(self._rows)
        self._length += 1
        self._rows += _ROW.pack(
            start_s,
            end_s,
            first_s,
            own_s[0],
            own_s[1],
            own_s[2],
            steps,
            tokens,
            pairs,
            kv_tokens,
            batch,
            decodes,
            kv_start_blocks,
            kv_end_blocks,
            queued,
            slot,
        )

    def _note_network(self, network_s: Mapping[str, float]) -> None:
        for resource, value in network_s.items():
            self._entry_row.append(self._length)
            self._entry_resource.append(self.resources.setdefault(resource, len(self.resources)))
            self._entry_seconds.append(value)

    def join(self, request: int, since_s: float, *, slot: int = 0) -> None:
        """Note that a request decodes from the next row on; its last token was out at `since_s`."""
        rows, requests, times, slots = self.joins
        rows.append(self._length)
        requests.append(request)
        times.append(since_s)
        slots.append(slot)

    def leave(self, request: int) -> None:
        """Note that a request does not decode from the next row on, unfinished."""
        rows, requests = self.leaves
        rows.append(self._length)
        requests.append(request)

    def end_of(self, row: int) -> float:
        """Return when a row ended."""
        block, place = divmod(row, _BLOCK_ROWS)
        end_s: float = _END_S.unpack_from(self._blocks[block], place * _ROW.size)[0]
        return end_s

    def column(self, name: str) -> np.ndarray:
        """Return a copy of one column, called as a parameter of `append`, as a numpy array."""
        return np.concatenate([np.frombuffer(block, dtype=_DTYPE)[name] for block in self._blocks])

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the seconds, sparse: rows, resource numbers (see `resources`), seconds."""
        own = [self.column(name) for name in _OWN.values()]
        found = [np.flatnonzero(column) for column in own]
        numbers = [np.full(len(rows), number) for number, rows in enumerate(found)]
        seconds = [column[rows] for column, rows in zip(own, found, strict=True)]
        return (
            np.concatenate([*found, np.array(self._entry_row, dtype=np.int64)]),
            np.concatenate([*numbers, np.array(self._entry_resource, dtype=np.int64)]),
            np.concatenate([*seconds, np.array(self._entry_seconds)]),
        )
