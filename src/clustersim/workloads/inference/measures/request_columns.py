"""Requests as columns: what happened to each, in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from clustersim.workloads.inference.requests import Request

__all__ = ["RequestColumns"]

_INTEGERS = (
    *("index", "replica", "tenant", "prompt", "output", "cached", "preemptions", "attempts"),
    *("first_row", "last_row", "last_activity"),
)
_BLOCK = 4096
_TIMES = ("arrival_s", "admitted_s", "first_token_s", "finish_s")


@dataclass(frozen=True, eq=False)
class RequestColumns:
    """One array per attribute of `Request`, in the order of sending; see there.

    Parameters
    ----------
    wait_request, wait_start, wait_end
        Half-open ranges of step rows, on its replica, in which a request had lost its blocks.
    """

    index: np.ndarray
    replica: np.ndarray
    tenant: np.ndarray
    prompt: np.ndarray
    output: np.ndarray
    cached: np.ndarray
    preemptions: np.ndarray
    attempts: np.ndarray
    first_row: np.ndarray
    last_row: np.ndarray
    last_activity: np.ndarray
    arrival_s: np.ndarray
    admitted_s: np.ndarray
    first_token_s: np.ndarray
    finish_s: np.ndarray
    wait_request: np.ndarray
    wait_start: np.ndarray
    wait_end: np.ndarray

    @classmethod
    def of(cls, requests: Sequence[Request]) -> RequestColumns:
        """Read the requests of a service."""

        integers = _columns(requests, _INTEGERS, np.dtype(np.int64))
        times = _columns(requests, _TIMES, np.dtype(float))
        waits = [
            (place, start, end)
            for place, request in enumerate(requests)
            if request.waits
            for start, end in request.waits
        ]
        place, start, end = np.array(waits, dtype=np.int64).reshape(-1, 3).T
        return cls(**integers, **times, wait_request=place, wait_start=start, wait_end=end)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def finished(self) -> np.ndarray:
        """Whether each has its last token."""
        finished: np.ndarray = np.isfinite(self.finish_s)
        return finished


def _columns(
    requests: Sequence[Request], names: tuple[str, ...], dtype: np.dtype[Any]
) -> dict[str, np.ndarray]:
    """Attributes as arrays; each request is looked at once, some thousand at a time to save memory."""
    found = np.empty((len(names), len(requests)), dtype)
    read = attrgetter(*names)
    for start in range(0, len(requests), _BLOCK):
        rows = [read(request) for request in requests[start : start + _BLOCK]]
        found[:, start : start + _BLOCK] = np.array(rows, dtype).T
    return dict(zip(names, found, strict=True))
