"""How much longer than usual each task of each step takes on each rank: slow GPUs and hosts, and chance."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["Pace"]


class Pace:
    """Factors on the time of kernels and hosts.

    *Equation.* Where the coefficient of variation is c, each factor is exp(σ·z − σ²/2) with σ² = ln(1 + c²)
    and z standard normal: mean 1. Those of a step are drawn together, for all tasks and ranks.

    Parameters
    ----------
    tasks
        In the program.
    kernel_slowdown, host_slowdown
        Of each rank, always.
    kernel_jitter, host_jitter
        Coefficients of variation, by task, step and rank.
    random
        Where kernels' and hosts' chance comes from.

    **Valid when** tasks vary independently.
    **Checked by:** tests/workloads/ranking/test_ranking_training_pace.py.
    """

    def __init__(
        self,
        tasks: int,
        *,
        kernel_slowdown: np.ndarray,
        host_slowdown: np.ndarray,
        kernel_jitter: float = 0.0,
        host_jitter: float = 0.0,
        random: tuple[np.random.Generator, np.random.Generator],
    ) -> None:
        self._tasks = tasks
        self._kernel_slowdown = kernel_slowdown
        self._host_slowdown = host_slowdown
        self._jitter = kernel_jitter, host_jitter
        self._random = random
        self._drawn: dict[int, tuple[np.ndarray | None, np.ndarray | None]] = {}

    @property
    def steady(self) -> bool:
        """Whether every step takes as long as any other."""
        return not any(self._jitter)

    def kernels(self, seconds: np.ndarray, place: int, step: int) -> np.ndarray:
        """Return what kernels of the task at a place of the program take in a step."""
        factor = self._of(step)[0]
        usual: np.ndarray = seconds * self._kernel_slowdown
        return usual if factor is None else usual * factor[place]

    def host(self, seconds: np.ndarray, place: int, step: int) -> np.ndarray:
        """Return what the host takes to launch them."""
        factor = self._of(step)[1]
        usual: np.ndarray = seconds * self._host_slowdown
        return usual if factor is None else usual * factor[place]

    def _of(self, step: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if step not in self._drawn:
            self._drawn.clear()
            kernels, host = map(self._draw, self._jitter, self._random)
            self._drawn[step] = kernels, host
        return self._drawn[step]

    def _draw(self, jitter: float, random: np.random.Generator) -> np.ndarray | None:
        if not jitter:
            return None
        sigma = math.sqrt(math.log1p(jitter**2))
        normal = random.standard_normal((self._tasks, len(self._host_slowdown)))
        factors: np.ndarray = np.exp(sigma * normal - sigma**2 / 2)
        return factors
