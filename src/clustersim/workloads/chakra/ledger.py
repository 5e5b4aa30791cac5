"""What each rank did in an iteration: when it computed, and when it communicated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["RankLedger", "RankTimes"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class RankTimes:
    """Seconds of one rank; compute, exposed communication, host and idle add up to the iteration."""

    compute_s: float
    exposed_communication_s: float
    host_s: float
    idle_s: float
    communication_s: float


@dataclass
class RankLedger:
    """Times from when to when; those of one kind may overlap."""

    compute: list[Interval] = field(default_factory=list)
    communication: list[Interval] = field(default_factory=list)
    host: list[Interval] = field(default_factory=list)

    def times(self, start_s: float, end_s: float) -> RankTimes:
        """Return what an iteration from `start_s` to `end_s` was used for.

        Communication is exposed while the GPU computes nothing, host work counts where neither runs.
        """
        compute_s = covered_s(self.compute)
        busy_s = covered_s([*self.compute, *self.communication])
        all_s = covered_s([*self.compute, *self.communication, *self.host])
        return RankTimes(
            compute_s=compute_s,
            communication_s=covered_s(self.communication),
            exposed_communication_s=busy_s - compute_s,
            host_s=all_s - busy_s,
            idle_s=max(0.0, end_s - start_s - all_s),
        )


def covered_s(intervals: Sequence[Interval]) -> float:
    """Return the length of the union of intervals."""
    total_s, until_s = 0.0, float("-inf")
    for start_s, end_s in sorted(intervals):
        if end_s > until_s:
            total_s += end_s - max(start_s, until_s)
            until_s = end_s
    return total_s
