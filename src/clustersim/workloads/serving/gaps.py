"""Gaps between arrivals, of mean 1: the distributions of renewal processes."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

__all__ = ["ExponentialGaps", "GammaGaps", "Gaps", "WeibullGaps", "weibull_shape"]

_HALVINGS = 60


class Gaps(Protocol):
    """A distribution of positive numbers with mean 1."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps; however many are drawn at once, they are the same."""

    def first(self, rng: np.random.Generator) -> float:
        """Return the time to the first arrival of a process that began long ago.

        *Equation.* Its density is (1 − F(x)) / mean: a uniform part of a gap that is drawn with
        a probability proportional to its length (Cox, Renewal Theory, 1962, section 5.4).
        """


class ExponentialGaps:
    """Gaps of a Poisson process."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps."""
        return rng.standard_exponential(count)

    def first(self, rng: np.random.Generator) -> float:
        """Return the time to the first arrival: as any gap, because it has no memory."""
        return float(rng.standard_exponential())


class GammaGaps:
    """Gamma-distributed gaps; their coefficient of variation is 1/√shape."""

    def __init__(self, shape: float) -> None:
        self._shape = shape

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps."""
        return rng.standard_gamma(self._shape, count) / self._shape

    def first(self, rng: np.random.Generator) -> float:
        """Return the time to the first arrival; a gap drawn by its length has shape k + 1."""
        return float(rng.random() * rng.standard_gamma(self._shape + 1.0) / self._shape)


class WeibullGaps:
    """Weibull-distributed gaps."""

    def __init__(self, shape: float) -> None:
        self._shape = shape
        self._scale = math.exp(-math.lgamma(1.0 + 1.0 / shape))

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` gaps."""
        return self._scale * rng.weibull(self._shape, count)

    def first(self, rng: np.random.Generator) -> float:
        """Return the time to the first arrival.

        A gap x drawn by its length has (x/scale)^k of a gamma distribution with shape 1 + 1/k.
        """
        power = rng.standard_gamma(1.0 + 1.0 / self._shape)
        return float(rng.random() * self._scale * power ** (1.0 / self._shape))


def weibull_shape(cv: float) -> float:
    """Return the shape of a Weibull distribution with a coefficient of variation.

    *Equation.* The k with Γ(1 + 2/k) / Γ(1 + 1/k)² = 1 + cv², by halving in log k; the left side
    falls with k.

    **Valid when** 0.05 ≤ cv ≤ 50. **Checked by:** tests/workloads/test_inference_rates.py.
    """
    wanted = math.log1p(cv * cv)
    low, high = math.log(0.1), math.log(100.0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        inverse = math.exp(-middle)
        if math.lgamma(1.0 + 2.0 * inverse) - 2.0 * math.lgamma(1.0 + inverse) > wanted:
            low = middle
        else:
            high = middle
    return math.exp(0.5 * (low + high))
