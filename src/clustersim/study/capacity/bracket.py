"""The search for the highest load that keeps an objective: doubling, halving, then bisection."""

from __future__ import annotations

import math

__all__ = ["Bracket"]


class Bracket:
    """Factors on a load, between one that is known to be kept and one that is known to be missed.

    *Equation.* From 1, the factor is doubled while the objective is kept and halved while it is missed;
    then the geometric mean of the two ends is tried until high / low ≤ 1 + tolerance.

    Parameters
    ----------
    tolerance
        Relative width at which the search ends.
    doublings
        How often it goes up or down at most before it gives up.

    **Valid when** what is kept at a load is kept at every lower one. Common random numbers make that so but
    for single requests, where a run is long enough.
    **Checked by:** tests/study/test_capacity.py, against a known threshold (hypothesis).
    """

    def __init__(self, *, tolerance: float, doublings: int = 12) -> None:
        self.tolerance = tolerance
        self.kept = 0.0
        """The highest factor at which the objective was kept; 0 for none."""
        self.missed = math.inf
        """The lowest factor at which it was missed."""
        self._hopeless = False
        self._least, self._most = 2.0**-doublings, 2.0**doublings

    def give_up(self) -> None:
        """End the search: no load is low enough."""
        self._hopeless = True

    @property
    def next_factor(self) -> float | None:
        """The factor to try next; None where the search is over."""
        if self._hopeless:
            return None
        if self.kept == 0.0 and math.isinf(self.missed):
            return 1.0
        if self.kept == 0.0:
            return self.missed / 2.0 if self.missed / 2.0 >= self._least else None
        if math.isinf(self.missed):
            return self.kept * 2.0 if self.kept * 2.0 <= self._most else None
        if self.missed <= self.kept * (1.0 + self.tolerance):
            return None
        return math.sqrt(self.kept * self.missed)

    def tell(self, factor: float, *, kept: bool) -> None:
        """Say what was found at a factor."""
        if kept:
            self.kept = max(self.kept, factor)
        else:
            self.missed = min(self.missed, factor)

    @property
    def done(self) -> float:
        """How much of the search is done, from 0 to 1, for a progress bar."""
        if self.next_factor is None:
            return 1.0
        if self.kept == 0.0 or math.isinf(self.missed):
            return 0.1
        width = math.log(self.missed / self.kept)
        return min(0.95, 0.2 + 0.8 * (1.0 - width / math.log(2.0)))
