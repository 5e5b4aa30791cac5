"""What a scenario may promise the users of a ranking service."""

from __future__ import annotations

from typing import Literal

from clustersim.spec._base import SpecModel
from clustersim.units import TimeQuantity

__all__ = ["RankingSloSpec"]


class RankingSloSpec(SpecModel):
    """Service-level objective of a ranking service."""

    latency: TimeQuantity | None = None
    """From the arrival of a query to the ranks of its last candidate."""
    percentile: Literal["p90", "p95", "p99", "p99.9"] = "p99"
    """The share of queries that has to be within it, for studies of the highest load."""

    @property
    def share(self) -> float:
        """`percentile` as a share of the queries."""
        return float(self.percentile.removeprefix("p")) / 100.0
