"""What a curve says of one kernel: its time under each roof."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import Operator

__all__ = ["Curve", "Roofs"]


class Roofs(NamedTuple):
    """One kernel under each roof, in seconds; the kernel takes latency + the larger of the two."""

    compute_s: float
    memory_s: float
    latency_s: float


class Curve(Protocol):
    """Turns an operator into its roofs on a device."""

    def roofs(self, operator: Operator, accelerator: Accelerator) -> Roofs:
        """Return the three times of one execution."""
