"""How long a job goes on: so many steps, or until so much time is over."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StepBudget"]


@dataclass(frozen=True)
class StepBudget:
    """The end of a job: `steps`, or `duration_s` from `start_s`; one of them is given."""

    start_s: float
    steps: int | None
    duration_s: float | None

    def goes_on(self, done: int, now_s: float) -> bool:
        """Return whether another step begins after `done` steps."""
        if self.steps is not None:
            return done < self.steps
        assert self.duration_s is not None
        return now_s < self.start_s + self.duration_s

    def fraction(self, done: int, now_s: float) -> float:
        """Return the fraction of steps, or of the time, that is over."""
        if self.steps is not None:
            return done / self.steps
        assert self.duration_s is not None
        elapsed_s = now_s - self.start_s
        return min(max(elapsed_s / self.duration_s, 0.0), 1.0) if self.duration_s else 1.0
