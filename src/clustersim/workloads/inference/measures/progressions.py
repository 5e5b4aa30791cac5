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
    """Values first + i·growth for i < count, each `weight` times, of many progressions.

    **Valid when** growth ≥ 0. **Checked by:** tests/workloads/test_inference_itl.py (against all values).
    """

    first: np.ndarray
    growth: np.ndarray
    count: np.ndarray
    weight: np.ndarray

    @classmethod
    def singles(cls, values: np.ndarray, weights: np.ndarray) -> Progressions:
        """Return single values with weights."""
        return cls(values, np.zeros(len(values)), np.ones(len(values), dtype=np.int64), weights)

    @classmethod
    def joined(cls, parts: Iterable[Progressions]) -> Progressions:
        """Return all values of several distributions, without those of no weight."""
        found = list(parts)
        columns = [
            np.concatenate([getattr(part, name) for part in found]) if found else np.empty(0)
            for name in ("first", "growth", "count", "weight")
        ]
        kept = (columns[2] > 0) & (columns[3] > 0)
        return cls(*(column[kept] for column in columns))

    @property
    def total(self) -> int:
        """How many values there are."""
        return int((self.count * self.weight).sum())

    @property
    def mean(self) -> float:
        """Their mean; there is at least one."""
        sums = self.count * self.first + self.growth * (0.5 * self.count * (self.count - 1))
        return float((self.weight * sums).sum() / self.total)

    @property
    def largest(self) -> float:
        """The largest value."""
        return float(self.last.max())

    def at_most(self, value: float) -> int:
        """Return how many values are at most `value`."""
        lasts, before = self._ended
        whole = int(before[np.searchsorted(lasts, value, side="right")])
        runs = self._runs
        inside = (runs.first <= value) & (runs.last > value)
        steps = np.floor((value - runs.first[inside]) / runs.growth[inside]) + 1
        places = np.minimum(steps.astype(np.int64), runs.count[inside])
        return whole + int((runs.weight[inside] * places).sum())

    @cached_property
    def last(self) -> np.ndarray:
        """The largest value of each progression."""
        last: np.ndarray = self.first + self.growth * (self.count - 1)
        return last

    @cached_property
    def _ended(self) -> tuple[np.ndarray, np.ndarray]:
        """Largest values in order, and how many values belong to those before each."""
        order = np.argsort(self.last, kind="stable")
        values = (self.count * self.weight)[order]
        return self.last[order], np.concatenate([[0], np.cumsum(values)])

    @cached_property
    def _runs(self) -> Progressions:
        """Those of more than one value: the others end where they begin."""
        kept = self.last > self.first
        return Progressions(self.first[kept], self.growth[kept], self.count[kept], self.weight[kept])

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """Return for each level p the least value that at least p of all values do not exceed.

        The value is found by halving, and is then exactly the one of a progression.
        """
        return [self._ranked(max(1, int(np.ceil(level * self.total - 1e-9)))) for level in levels]

    def _ranked(self, rank: int) -> float:
        """The value of a rank, counted from 1."""
        low, high = float(self.first.min()), self.largest
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
