"""The activity trace: what ran when, what let it start, and which resource it spent its time on.

Every second has a cause. An activity (a kernel, a collective, a wait in a queue, host work)
names the activity whose end let it start, and splits its own duration over resources.
Walking back along the causes gives a critical path (`clustersim.results.attribution`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "COMPUTE",
    "HOST",
    "MEMORY_BANDWIDTH",
    "NETWORK_LATENCY",
    "NO_CAUSE",
    "QUEUEING",
    "STORAGE",
    "Activity",
    "Trace",
    "link_resource",
]

COMPUTE = "compute"
MEMORY_BANDWIDTH = "memory_bandwidth"
NETWORK_LATENCY = "network_latency"
HOST = "host"
STORAGE = "storage"
QUEUEING = "queueing"
_LINK_PREFIX = "network_bandwidth:"

NO_CAUSE = -1


def link_resource(link_name: str) -> str:
    """Name of the resource "bandwidth of this link", e.g. `network_bandwidth:leaf0>spine1`."""
    return _LINK_PREFIX + link_name


class Activity(NamedTuple):
    """One row of the trace.

    `shares` maps resources to seconds and adds up to `end_s - start_s`.
    """

    kind: str
    """compute, collective, transfer, host or queue."""
    lane: str
    """The stream it ran on, `workload/stream`: `pretrain/compute`, `chat.0/engine`."""
    label: str
    start_s: float
    end_s: float
    cause: int
    """Row of the activity whose end let this one start, or `NO_CAUSE`."""
    shares: Mapping[str, float]


class Trace:
    """Append-only list of activities; a row's index is its identity."""

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.rows: list[Activity] = []

    def record(
        self,
        kind: str,
        lane: str,
        label: str,
        start_s: float,
        end_s: float,
        *,
        cause: int = NO_CAUSE,
        shares: Mapping[str, float],
    ) -> int:
        """Append an activity that has ended; return its row, or `NO_CAUSE` where nothing is kept."""
        if not self.keep:
            return NO_CAUSE
        self.rows.append(Activity(kind, lane, label, start_s, end_s, cause, shares))
        return len(self.rows) - 1

    def __len__(self) -> int:
        return len(self.rows)
