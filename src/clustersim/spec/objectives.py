"""What a scenario may promise the users of a service."""

from __future__ import annotations

from clustersim.spec._base import SpecModel
from clustersim.units import TimeQuantity

__all__ = ["SloSpec"]


class SloSpec(SpecModel):
    """Service-level objectives; a request attains them if it keeps all that are given."""

    ttft: TimeQuantity | None = None
    """Time to first token."""
    tpot: TimeQuantity | None = None
    """Mean time per output token after the first."""
    e2e: TimeQuantity | None = None
    """Whole time from arrival to last token."""
