"""How many candidates each query has."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from clustersim.catalog import query_sizes
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.ranking.candidates import (
    CandidatesSpec,
    FixedCandidates,
    LogNormalCandidates,
    QuantileCandidates,
)

__all__ = ["CandidateStream", "Candidates", "candidates_of"]

_BLOCK = 4096


class Candidates(Protocol):
    """A distribution of positive whole numbers."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` numbers of candidates; however many are drawn at once, they are the same."""


class _Fixed:
    def __init__(self, samples: int) -> None:
        self._samples = samples

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.full(count, self._samples, dtype=np.int64)


class _Quantiles:
    """Each value of the table is as likely as any other."""

    def __init__(self, values: tuple[int, ...]) -> None:
        self._values = np.array(values, dtype=np.int64)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        drawn: np.ndarray = self._values[(rng.random(count) * len(self._values)).astype(np.int64)]
        return drawn


class _LogNormal:
    def __init__(self, spec: LogNormalCandidates) -> None:
        self._spec = spec

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        spec = self._spec
        return _whole(spec.median * np.exp(spec.sigma * rng.standard_normal(count)), 1, spec.max)


class _Pareto:
    def __init__(self, *, least: int, shape: float, most: int) -> None:
        self._least, self._shape, self._most = least, shape, most

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        # 1 - u is in (0, 1], so that the power is finite.
        values = self._least * (1.0 - rng.random(count)) ** (-1.0 / self._shape)
        return _whole(values, self._least, self._most)


def _whole(values: np.ndarray, least: int, most: int) -> np.ndarray:
    whole: np.ndarray = np.clip(np.rint(values), least, most).astype(np.int64)
    return whole


def candidates_of(spec: CandidatesSpec) -> Candidates:
    """Return the distribution that a scenario describes.

    *Equation.* `log-normal`: median·exp(sigma·z) with z standard normal; `pareto`: min·(1 − u)^(−1/shape)
    with u uniform; both rounded, and cut at `max`. `quantiles`: a value of the table, each as likely.

    Raises
    ------
    InputError
        For a table that the catalogue does not have.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_demand.py.
    """
    if isinstance(spec, FixedCandidates):
        return _Fixed(spec.samples)
    if isinstance(spec, LogNormalCandidates):
        return _LogNormal(spec)
    if isinstance(spec, QuantileCandidates):
        try:
            return _Quantiles(query_sizes.SHELF.get(spec.table).samples)
        except CatalogError as error:
            raise InputError(Problem(("candidates", "table"), str(error))) from None
    return _Pareto(least=spec.min, shape=spec.shape, most=spec.max)


class CandidateStream:
    """Numbers of candidates in the order of sending."""

    def __init__(self, candidates: Candidates, rng: np.random.Generator) -> None:
        self._candidates = candidates
        self._rng = rng
        self._left: list[int] = []

    def take(self, count: int) -> np.ndarray:
        """Return the next `count` at once."""
        return self._candidates.draw(self._rng, count)

    def next(self) -> int:
        """Return the next one."""
        if not self._left:
            self._left = self._candidates.draw(self._rng, _BLOCK)[::-1].tolist()
        return self._left.pop()
