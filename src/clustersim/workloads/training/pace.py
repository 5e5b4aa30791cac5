"""How much slower than nominal each rank computes: jitter, and GPUs that are slow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["STEADY", "Pace", "Pacer"]


class Pace(NamedTuple):
    """Factors on the kernels of one lane in one iteration.

    Parameters
    ----------
    slowest, mean
        Per pass, over the ranks of the lane; empty where all are 1.
    update_slowest, update_mean
        Of the optimizer step, which does not vary.
    """

    slowest: Sequence[float] = ()
    mean: Sequence[float] = ()
    update_slowest: float = 1.0
    update_mean: float = 1.0


STEADY = Pace()
"""All ranks compute at the nominal pace."""


class Pacer:
    """Draws the paces of all lanes, iteration by iteration.

    *Equation.* A rank's kernels of one pass take a factor s·f of their nominal time: s its constant
    slowdown, f log-normal with mean 1 and coefficient of variation `jitter`. A lane waits for its
    slowest rank after each pass.

    Parameters
    ----------
    lanes
        Ranks of each lane.
    slowdown
        Of each rank.
    passes
        Of each lane in an iteration.

    **Valid when** a rank's kernels slow down together within a pass.
    **Checked by:** tests/workloads/test_training_pace.py.
    """

    def __init__(
        self,
        lanes: Sequence[Sequence[int]],
        *,
        slowdown: np.ndarray,
        passes: int,
        jitter: float,
        random: np.random.Generator,
    ) -> None:
        self._lanes = [np.array(ranks) for ranks in lanes]
        self._slowdown = slowdown
        self._passes = passes
        self._jitter = jitter
        self._random = random

    @property
    def steady(self) -> bool:
        """Whether all ranks compute at the nominal pace, always."""
        return not self._jitter and bool((self._slowdown == 1.0).all())

    def draw(self) -> list[Pace]:
        """Return the pace of each lane in the next iteration."""
        if self.steady:
            return [STEADY] * len(self._lanes)
        factors = np.broadcast_to(self._slowdown, (self._passes, len(self._slowdown)))
        if self._jitter:
            sigma = math.sqrt(math.log1p(self._jitter * self._jitter))
            factors = factors * self._random.lognormal(-sigma * sigma / 2, sigma, size=factors.shape)
        return [self._of(ranks, factors) for ranks in self._lanes]

    def _of(self, ranks: np.ndarray, factors: np.ndarray) -> Pace:
        own, update = factors[:, ranks], self._slowdown[ranks]
        return Pace(
            own.max(axis=1).tolist(), own.mean(axis=1).tolist(), float(update.max()), float(update.mean())
        )
