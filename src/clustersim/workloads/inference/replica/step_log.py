"""What one replica's engine did, one row per step or run of alike steps, in flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np

from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH

__all__ = ["StepLog"]

_OWN = (COMPUTE, MEMORY_BANDWIDTH, HOST)
"""Resources of the replica itself, with a value in every row."""


class StepLog:
    """Append-only columns; seconds on the network are kept sparse, as (row, resource, seconds).

    A run of decode steps that was computed in closed form is one row. Requests are admitted
    at the start of a row and finish at the end of one, so that sums over rows give the
    seconds of a request.
    """

    def __init__(self) -> None:
        self.start_s = array("d")
        self.end_s = array("d")
        self.first_s = array("d")
        """Seconds of the first step of the row; the others grow from it evenly."""
        self.steps = array("q")
        self.batch = array("i")
        self.decodes = array("i")
        """Requests that got tokens by decoding in each step of the row."""
        self.tokens = array("q")
        self.kv_start_blocks = array("i")
        self.kv_end_blocks = array("i")
        self.queued = array("i")
        self.slot = array("b")
        """Which of the batches that pass through a pipeline at the same time."""
        self.pairs = array("q")
        """Pairs of a token and one that it attends to: what attention computes."""
        self.kv_tokens = array("q")
        """Tokens whose keys and values attention reads."""
        self.joins = (array("q"), array("i"), array("d"), array("b"))
        """Row, request, time of its last token, slot: it begins to decode with the next row of the slot."""
        self.leaves = (array("q"), array("i"))
        """Row, request: it does not decode from this row on, for it lost its blocks."""
        self.resources: dict[str, int] = {name: number for number, name in enumerate(_OWN)}
        self._own_s = (array("d"), array("d"), array("d"))
        self._entry_row = array("q")
        self._entry_resource = array("i")
        self._entry_seconds = array("d")

    def __len__(self) -> int:
        return len(self.start_s)

    def append(
        self,
        *,
        start_s: float,
        end_s: float,
        first_s: float,
        steps: int,
        batch: int,
        decodes: int,
        tokens: int,
        kv_start_blocks: int,
        kv_end_blocks: int,
        queued: int,
        own_s: tuple[float, float, float],
        network_s: Mapping[str, float] | None = None,
        slot: int = 0,
        pairs: int = 0,
        kv_tokens: int = 0,
    ) -> None:
        """Add a row.

        Parameters
        ----------
        own_s
            Seconds of arithmetic, memory bandwidth and host; with `network_s`, by resource,
            they add up to `end_s - start_s` where no batch waits for another.
        """
        if network_s:
            for resource, value in network_s.items():
                self._entry_row.append(len(self.start_s))
                self._entry_resource.append(self.resources.setdefault(resource, len(self.resources)))
                self._entry_seconds.append(value)
        self.start_s.append(start_s)
        self.end_s.append(end_s)
        self.first_s.append(first_s)
        self.steps.append(steps)
        self.batch.append(batch)
        self.decodes.append(decodes)
        self.tokens.append(tokens)
        self.kv_start_blocks.append(kv_start_blocks)
        self.kv_end_blocks.append(kv_end_blocks)
        self.queued.append(queued)
        self.slot.append(slot)
        self.pairs.append(pairs)
        self.kv_tokens.append(kv_tokens)
        compute, memory, host = self._own_s
        compute.append(own_s[0])
        memory.append(own_s[1])
        host.append(own_s[2])

    def join(self, request: int, since_s: float, *, slot: int = 0) -> None:
        """Note that a request decodes from the next row on; its last token was out at `since_s`."""
        rows, requests, times, slots = self.joins
        rows.append(len(self.start_s))
        requests.append(request)
        times.append(since_s)
        slots.append(slot)

    def leave(self, request: int) -> None:
        """Note that a request does not decode from the next row on, unfinished."""
        rows, requests = self.leaves
        rows.append(len(self.start_s))
        requests.append(request)

    def column(self, name: str) -> np.ndarray:
        """Return a copy of one column as a numpy array."""
        return np.array(getattr(self, name))

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the seconds, sparse: rows, resource numbers (see `resources`), seconds."""
        own = [np.array(column) for column in self._own_s]
        rows = [np.flatnonzero(column) for column in own]
        return (
            np.concatenate([*rows, np.array(self._entry_row, dtype=np.int64)]),
            np.concatenate(
                [
                    *(np.full(len(found), number) for number, found in enumerate(rows)),
                    np.array(self._entry_resource, dtype=np.int64),
                ]
            ),
            np.concatenate(
                [*(column[found] for column, found in zip(own, rows, strict=True)), np.array(self._entry_seconds)]
            ),
        )
