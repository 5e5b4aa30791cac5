"""Training without interruption: work, standstill and what a checkpoint keeps of it, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Stretch"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Training from one restart to the next interruption.

    Training runs for τ, stands still for the checkpoint's stall s, goes on for τ, and so on. Where
    the checkpoint is written beside training (w > 0), the next stall waits until that is over, as
    there is room for one copy.

    *Equation.* Checkpoint j begins to stall at B_j = τ + (j − 1)·c with c = s + max(τ, w), and can be
    used from B_j + s + w on.

    Parameters
    ----------
    interval_s
        τ.
    stall_s, write_s
        s and w.

    **Valid when** an interruption may come at any time, and the time of an iteration does not vary.
    **Source:** one checkpoint in flight: PyTorch's `torch.distributed.checkpoint.async_save`, whose
    documentation has the future of the last save awaited before the next.
    **Checked by:** tests/workloads/test_training_reliability.py, against a walk from one checkpoint to the
    next.
    """

    interval_s: float
    stall_s: float
    write_s: float

    @property
    def cycle_s(self) -> float:
        """Time from one checkpoint to the next."""
        return self.stall_s + max(self.interval_s, self.write_s)

    def work_s(self, elapsed_s: float) -> float:
        """Return how long training has run of the time since the stretch began."""
        if elapsed_s <= self.interval_s:
            return elapsed_s
        cycles, rest_s = divmod(elapsed_s - self.interval_s, self.cycle_s)
        return (1.0 + cycles) * self.interval_s + min(max(rest_s - self.stall_s, 0.0), self.interval_s)

    def checkpoints(self, elapsed_s: float) -> int:
        """Return how many checkpoints can be used by now."""
        since_first_s = elapsed_s - self.interval_s - self.stall_s - self.write_s
        return 0 if since_first_s < 0 else 1 + math.floor(since_first_s / self.cycle_s)

    def kept_s(self, elapsed_s: float) -> float:
        """Return how much work the last usable checkpoint holds."""
        return self.checkpoints(elapsed_s) * self.interval_s
