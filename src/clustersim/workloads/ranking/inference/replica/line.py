"""A device that serves one batch after the other, in the order in which they come."""

from __future__ import annotations

from clustersim.workloads.span import Span

__all__ = ["Line"]


class Line:
    """First come, first served, where each says beforehand how long it will take.

    *Equation.* start = max(now, end of the one before), end = start + seconds.

    As nobody overtakes and nobody gives up, the end is known when a batch joins the line, and one event
    per visit is enough.
    """

    __slots__ = ("free_s", "last")

    def __init__(self) -> None:
        self.free_s = 0.0
        """When the last in line will be done."""
        self.last: Span | None = None
        """What the last in line is served with; None where nobody asks."""

    def join(self, now_s: float, seconds: float) -> float:
        """Stand in line for so many seconds of service; return when it begins."""
        start_s = max(now_s, self.free_s)
        self.free_s = start_s + seconds
        return start_s
