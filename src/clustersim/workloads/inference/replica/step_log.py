"""What one replica's engine did, one row per step or run of alike steps, in flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np

__all__ = ["StepLog"]


class StepLog:
    """Append-only columns; seconds by resource are kept sparse, as (row, resource, seconds).

    A run of decode steps that was computed in closed form is one row. Requests are admitted
    at the start of a row and finish at the end of one, so that sums over rows give the
    seconds of a request.
    """

    def __init__(self) -> None:
        self.start_s = array("d")
        self.end_s = array("d")
        self.steps = array("q")
        self.batch = array("q")
        self.tokens = array("q")
        self.kv_start_blocks = array("q")
        self.kv_end_blocks = array("q")
        self.queued = array("q")
        self.resources: dict[str, int] = {}
        self._entry_row = array("q")
        self._entry_resource = array("q")
        self._entry_seconds = array("d")

    def __len__(self) -> int:
        return len(self.start_s)

    def append(
        self,
        *,
        start_s: float,
        end_s: float,
        steps: int,
        batch: int,
        tokens: int,
        kv_start_blocks: int,
        kv_end_blocks: int,
        queued: int,
        seconds: Mapping[str, float],
    ) -> None:
        """Add a row; `seconds` by resource adds up to `end_s - start_s`."""
        row = len(self.start_s)
        self.start_s.append(start_s)
        self.end_s.append(end_s)
        self.steps.append(steps)
        self.batch.append(batch)
        self.tokens.append(tokens)
        self.kv_start_blocks.append(kv_start_blocks)
        self.kv_end_blocks.append(kv_end_blocks)
        self.queued.append(queued)
        for resource, value in seconds.items():
            self._entry_row.append(row)
            self._entry_resource.append(self.resources.setdefault(resource, len(self.resources)))
            self._entry_seconds.append(value)

    def column(self, name: str) -> np.ndarray:
        """Return a copy of one column as a numpy array."""
        return np.array(getattr(self, name))

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the sparse seconds: rows, resource numbers (see `resources`), seconds."""
        return np.array(self._entry_row), np.array(self._entry_resource), np.array(self._entry_seconds)
