"""Whether requests come faster than they are answered, how fast the queue grows, and when it is too long."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.workloads.inference.measures.request_columns import RequestColumns

__all__ = ["QueueGrowth", "queue_growth"]


@dataclass(frozen=True)
class QueueGrowth:
    """Arrivals and answers in the second half of the time in which requests arrived.

    *Equation.* Growth g = (arrived − answered) / span; answers μ = answered / span. In a queue that grows
    by g, a request that arrives at time t after the opening finds g·t others before it, and waits g·t/μ.

    **Valid when** the load is steady over that time; the growth of a load that rises is that of its
    end. **Checked by:** tests/workloads/test_inference_measures.py.
    """

    arrived: int
    answered: int
    span_s: float

    @property
    def per_s(self) -> float:
        """Requests by which the queue grows every second; negative where it shrinks."""
        return (self.arrived - self.answered) / self.span_s

    @property
    def unbounded(self) -> bool:
        """Whether that is more than chance: beyond a tenth of the arrivals and three times their root."""
        chance: float = 0.1 * self.arrived + 3.0 * self.arrived**0.5
        return self.arrived - self.answered > chance

    @property
    def waiting_growth(self) -> float:
        """Seconds that a request waits longer for each second that it arrives later."""
        return float("inf") if not self.answered else (self.arrived - self.answered) / self.answered

    def reaches_s(self, waiting_s: float) -> float:
        """Return how long after the opening a request waits so long."""
        return waiting_s / self.waiting_growth

    def note(self, ttft_s: float | None) -> str:
        """Say that the queue grows.

        Parameters
        ----------
        ttft_s
            The objective for the time to first token, where there is one.
        """
        words = (
            f"the queue grows: in the second half of the time in which requests arrived, {self.arrived} "
            f"arrived and {self.answered} were answered, so that it grows by {self.per_s:.3g} requests/s"
        )
        if self.answered:
            words += f" and waiting by {60.0 * self.waiting_growth:.3g} s a minute"
            if ttft_s is not None:
                words += f"; {self.reaches_s(ttft_s):.3g} s after the opening it is beyond the TTFT objective"
        return f"{words}; latencies depend on how long the run is"


def queue_growth(columns: RequestColumns) -> QueueGrowth | None:
    """Return how the queue grew; None where requests arrived at one time alone."""
    arrival_s, finish_s = columns.arrival_s, columns.finish_s
    if len(arrival_s) < 2 or arrival_s[-1] <= arrival_s[0]:
        return None
    half_s, last_s = (arrival_s[0] + arrival_s[-1]) / 2.0, arrival_s[-1]
    return QueueGrowth(
        arrived=int((arrival_s > half_s).sum()),
        answered=int(((finish_s > half_s) & (finish_s <= last_s)).sum()),
        span_s=float(last_s - half_s),
    )
