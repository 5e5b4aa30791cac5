"""Whether requests come faster than they are answered, how fast the queue grows, and when it is too long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    def note(self, limit_s: float | None, *, objective: str = "TTFT", unit: str = "requests") -> str:
        """Say that the queue grows.

        Parameters
        ----------
        limit_s
            The objective that waiting breaks, where there is one.
        objective, unit
            What that is called, and what waits.
        """
        words = (
            f"the queue grows: in the second half of the time in which {unit} arrived, {self.arrived} "
            f"arrived and {self.answered} were answered, so that it grows by {self.per_s:.3g} {unit}/s"
        )
        if self.answered:
            words += f" and waiting by {60.0 * self.waiting_growth:.3g} s a minute"
            if limit_s is not None:
                after_s = self.reaches_s(limit_s)
                words += f"; {after_s:.3g} s after the opening it is beyond the {objective} objective"
        return f"{words}; latencies depend on how long the run is"


def queue_growth(arrival_s: np.ndarray, finish_s: np.ndarray) -> QueueGrowth | None:
    """Return how the queue grew; None where requests arrived at one time alone.

    Parameters
    ----------
    arrival_s, finish_s
        Of all requests, in order of arrival; NaN for those that are not answered.
    """
    if len(arrival_s) < 2 or arrival_s[-1] <= arrival_s[0]:
        return None
    half_s, last_s = (arrival_s[0] + arrival_s[-1]) / 2.0, arrival_s[-1]
    return QueueGrowth(
        arrived=int((arrival_s > half_s).sum()),
        answered=int(((finish_s > half_s) & (finish_s <= last_s)).sum()),
        span_s=float(last_s - half_s),
    )
