"""Traffic classes: who is served first, and in what proportion."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clustersim.errors import InputError

__all__ = ["DEFAULT_TRAFFIC", "TrafficClass"]


@dataclass(frozen=True)
class TrafficClass:
    """How the connections of a route set rank among others.

    *Equation.* Priorities are strict: 0 shares the links first, 1 shares what 0 leaves, and so
    on. Within a priority, x / weight is shared max-min fairly: where a connection of weight 1
    gets the rate r, one of weight 3 that meets the same bottleneck gets 3 r.

    Parameters
    ----------
    priority
        0 is served first.
    weight
        As how many connections each connection counts; positive and finite.

    Raises
    ------
    InputError
        For a priority that is no integer of zero or more, or a weight that is not positive and
        finite.

    **Valid when** switches schedule their queues by strict priority, and by weighted round
    robin within one, over times longer than some round trips. **Checked by:**
    tests/engine/test_fabric_traffic.py.
    """

    priority: int = 0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.priority, int) or self.priority < 0:
            raise InputError(f"a priority must be an integer of zero or more, got {self.priority!r}")
        if not 0.0 < self.weight < math.inf:
            raise InputError(f"a traffic class's weight must be positive and finite, got {self.weight!r}")


DEFAULT_TRAFFIC = TrafficClass()
"""Served first, every connection alike."""
