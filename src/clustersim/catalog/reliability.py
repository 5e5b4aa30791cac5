"""How often nodes and jobs of published training runs failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.units import BANDWIDTH, TIME, parse_quantity

__all__ = ["SHELF", "ReliabilityRecord"]

_DAY_S = 86400.0


@dataclass(frozen=True, kw_only=True)
class ReliabilityRecord:
    """What was seen of failures and recovery on one cluster.

    Parameters
    ----------
    node_days, node_failures, software_failures
        What was observed: failures that took a node out, and failures that left every node whole.
    detection_s, restart_s, repair_s
        From a failure to its diagnosis; from there until training goes on, the checkpoint's
        reading apart; until a failed node is back.
    checkpoint_bandwidth_bytes_per_s
        What one node writes to storage.
    sources
        Field name to source.

    **Source:** `sources`, field by field. **Checked by:** tests/workloads/test_training_reliability.py.
    """

    name: str
    node_days: float
    node_failures: float
    software_failures: float
    detection_s: float
    restart_s: float
    repair_s: float
    checkpoint_bandwidth_bytes_per_s: float
    sources: Mapping[str, Source]

    @property
    def node_mtbf_s(self) -> float:
        """Mean time between failures of one node; infinite where none failed."""
        return self._mean_time_s(self.node_failures)

    @property
    def software_mtbf_s(self) -> float:
        """The same of failures that leave every node whole, counted per node."""
        return self._mean_time_s(self.software_failures)

    def _mean_time_s(self, failures: float) -> float:
        return self.node_days * _DAY_S / failures if failures else math.inf


_FACTS = (
    "node_days",
    "node_failures",
    "software_failures",
    "detection",
    "restart",
    "repair",
    "checkpoint_bandwidth",
)


def _build(record: Record) -> ReliabilityRecord:
    fields = record.fields
    return ReliabilityRecord(
        name=record.name,
        node_days=fields["node_days"],
        node_failures=fields["node_failures"],
        software_failures=fields["software_failures"],
        detection_s=parse_quantity(fields["detection"], TIME),
        restart_s=parse_quantity(fields["restart"], TIME),
        repair_s=parse_quantity(fields["repair"], TIME),
        checkpoint_bandwidth_bytes_per_s=parse_quantity(fields["checkpoint_bandwidth"], BANDWIDTH),
        sources=MappingProxyType({name: record.source(name) for name in _FACTS}),
    )


SHELF: Shelf[ReliabilityRecord] = Shelf("reliability record", file="reliability.yaml", build=_build)
