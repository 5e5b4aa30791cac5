"""What a step does and moves, counted: for MFU, MBU and energy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from clustersim.cost.operators import Operator

__all__ = ["StepWork"]


class StepWork(NamedTuple):
    """FLOPs and bytes through device memory of some work on one GPU; they add up (`plus`, `times`)."""

    flops: float = 0.0
    bytes_moved: float = 0.0

    @classmethod
    def of(cls, operators: Iterable[Operator]) -> StepWork:
        """Return the work of operators."""
        kept = list(operators)
        return cls(
            sum(operator.count * operator.flops for operator in kept),
            sum(operator.count * operator.bytes_moved for operator in kept),
        )

    def plus(self, other: StepWork) -> StepWork:
        """Return both together."""
        return StepWork(self.flops + other.flops, self.bytes_moved + other.bytes_moved)

    def times(self, count: float) -> StepWork:
        """Return this work done `count` times."""
        return StepWork(self.flops * count, self.bytes_moved * count)
