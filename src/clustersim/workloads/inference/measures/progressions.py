"""Weighted arithmetic progressions: a distribution whose values are never written out.

A run of k alike decode steps takes a, a + g, …, a + (k − 1)·g seconds, and each of its b requests has
these gaps between its tokens. A million requests have hundreds of millions of gaps; as progressions
they are a few numbers per row of the step log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Progressions"]

_HALVINGS = 200


@dataclass(frozen=True, eq=False)
class Progressions:
    """Single values, and values first + i·growth for i < count, each as often as its weight says.

    Parameters
    ----------
    values, weights
        The single values.
    first, growth, count, weight
        Of progressions of several values each.

    **Valid when** growth > 0. **Checked by:** tests/workloads/test_inference_itl.py (against all values).
    """

    values: np.ndarray
    weights: np.ndarray
    first: np.ndarray
    growth: np.ndarray
    count: np.ndarray
    weight: np.ndarray

    @classmethod
    def singles(cls, values: np.ndarray, weights: np.ndarray) -> Progressions:
        """Return single values with weights, but for those of none."""
        some = weights > 0
        return cls(values[some], weights[some], *_no_runs())

    @classmethod
    def runs(
        cls, first: np.ndarray, growth: np.ndarray, count: np.ndarray, weight: np.ndarray
    ) -> Progressions:
        """Return progressions, but for those without values or weight; growth is at least 0."""
        some = (count > 0) & (weight > 0)
        alike = some & ((growth <= 0.0) | (count == 1))
        some &= ~alike
        return cls(
            first[alike], count[alike] * weight[alike], first[some], growth[some], count[some], weight[some]
        )

    @classmethod
    def joined(cls, parts: Iterable[Progressions]) -> Progressions:
        """Return all values of several distributions, the single ones in ascending order."""
        found = [cls(np.empty(0), np.empty(0, dtype=np.int64), *_no_runs()), *parts]
        columns = {name: np.concatenate([getattr(part, name) for part in found]) for name in vars(found[0])}
        found.clear()
        order = np.argsort(columns["values"], kind="stable")
        for name in ("values", "weights"):
            columns[name] = columns[name][order]
        return cls(**columns)

    @cached_property
    def total(self) -> int:
        """How many values there are."""
        return int(self.weights.sum()) + int((self.count * self.weight).sum())

    @property
    def mean(self) -> float:
        """Their mean; there is at least one."""
        sums = self.count * self.first + self.growth * (0.5 * self.count * (self.count - 1))
        whole = (self.values * self.weights).sum() + (self.weight * sums).sum()
        return float(whole / self.total)

    @property
    def least(self) -> float:
        """The smallest value."""
        return float(min(self.values.min(initial=np.inf), self.first.min(initial=np.inf)))

    @cached_property
    def largest(self) -> float:
        """The largest value."""
        return float(max(self.values.max(initial=-np.inf), self.last.max(initial=-np.inf)))

    def at_most(self, value: float) -> int:
        """Return how many values are at most `value`; only of what `joined` returned."""
        singles = int(self._before[np.searchsorted(self.values, value, side="right")])
        lasts, before = self._ended
        whole = int(before[np.searchsorted(lasts, value, side="right")])
        inside = (self.first <= value) & (self.last > value)
        steps = np.floor((value - self.first[inside]) / self.growth[inside]) + 1
        places = np.minimum(steps.astype(np.int64), self.count[inside])
        return singles + whole + int((self.weight[inside] * places).sum())

    @cached_property
    def last(self) -> np.ndarray:
        """The largest value of each progression."""
        last: np.ndarray = self.first + self.growth * (self.count - 1)
        return last

    @cached_property
    def _before(self) -> np.ndarray:
        """How many single values there are before each, and all of them."""
        return _counted(self.weights)

    @cached_property
    def _ended(self) -> tuple[np.ndarray, np.ndarray]:
        """Largest values of progressions in order, and how many values belong to those before each."""
        order = np.argsort(self.last, kind="stable")
        return self.last[order], _counted((self.count * self.weight)[order])

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """Return for each level p the least value that at least p of all values do not exceed.

        The value is found by halving, and is then exactly the one of a progression.
        """
        return [self._ranked(max(1, int(np.ceil(level * self.total - 1e-9)))) for level in levels]

    def _ranked(self, rank: int) -> float:
        """The value of a rank, counted from 1."""
        low, high = self.least, self.largest
        if self.at_most(low) >= rank:
            return low
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            if self.at_most(middle) >= rank:
                high = middle
            else:
                low = middle
        return high


def _no_runs() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    whole = np.empty(0, dtype=np.int64)
    return np.empty(0), np.empty(0), whole, whole


def _counted(weights: np.ndarray) -> np.ndarray:
    """Sums of the weights before each, and of all."""
    sums = np.zeros(len(weights) + 1, dtype=np.int64)
    np.cumsum(weights, out=sums[1:])
    return sums
