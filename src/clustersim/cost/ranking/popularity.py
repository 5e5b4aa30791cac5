"""How popular the rows of embedding tables are: distinct rows of a batch, hits in a cache of the hottest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import EmbeddingTable
from clustersim.catalog.reuse import reuse_histogram

__all__ = ["Popularity", "popularity_of"]

Numbers = NDArray[np.float64]

_SINGLE_RANKS = 32
"""Ranks of a power law that are groups of their own, before groups of ranks take over."""
_GROUPS_PER_DECADE = 12


@dataclass(frozen=True, eq=False)
class Popularity:
    """Rows of each table in groups of equally popular ones, hottest first.

    Look-ups are independent, and a look-up falls on each row of group g with probability s_g/r_g.

    Parameters
    ----------
    rows, shares
        Rows r and shares of look-ups s: arrays of one line per table and one column per group;
        lines with fewer groups end in groups without rows.

    **Valid when** look-ups are independent of each other: no sessions, no drift within a batch.
    **Checked by:** tests/cost/ranking/test_embedding_popularity.py (draws of samples).
    """

    rows: Numbers
    shares: Numbers

    def distinct_rows(self, lookups: Numbers | float) -> Numbers:
        """Return how many different rows of each table so many look-ups touch in the mean.

        *Equation:* Σ_g r_g·(1 − (1 − s_g/r_g)ⁿ).
        """
        return self._touched(np.asarray(lookups, dtype=float), self.rows)

    def hit_rate(self, held_rows: Numbers | float) -> Numbers:
        """Return the share of look-ups that find their row among the `held_rows` hottest of each table.

        *Equation:* Σ_g s_g·h_g/r_g, where h_g of a group's r_g rows are held.

        **Valid when** the cache holds what is hottest in the long run, as caches that count uses come to
        (LFU); one that keeps what was used last (LRU) hits somewhat less.
        """
        held = self._held(np.asarray(held_rows, dtype=float))
        rates: Numbers = (self.shares * held).sum(axis=1)
        return np.clip(rates, 0.0, 1.0)

    def missed_rows(self, lookups: Numbers | float, held_rows: Numbers | float) -> Numbers:
        """Return how many different rows outside the `held_rows` hottest so many look-ups touch."""
        held = self._held(np.asarray(held_rows, dtype=float))
        return self._touched(np.asarray(lookups, dtype=float), self.rows * (1.0 - held))

    def rows_read(self, lookups: Numbers | float, held_rows: Numbers | float) -> Numbers:
        """Return how many rows come from memory where the hottest stay in a cache that begins empty.

        *Equation:* the distinct rows among those held, once each, and each look-up of the others.
        """
        number = np.asarray(lookups, dtype=float)
        held = self._held(np.asarray(held_rows, dtype=float))
        outside: Numbers = number * (self.shares * (1.0 - held)).sum(axis=1)
        return self._touched(number, self.rows * held) + outside

    def take(self, tables: NDArray[np.intp]) -> Popularity:
        """Return the popularity of some tables, in the order given; a table may come more than once."""
        return Popularity(self.rows[tables], self.shares[tables])

    def _touched(self, lookups: Numbers, counted_rows: Numbers) -> Numbers:
        number = np.broadcast_to(lookups, len(self.rows))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            chance = np.where(self.rows > 0.0, np.minimum(self.shares / self.rows, 1.0), 0.0)
            missed = np.nan_to_num(np.exp(number * np.log1p(-chance)), nan=1.0)
        # Less than one look-up, a mean over batches, touches no more than itself.
        touched: Numbers = (counted_rows * np.minimum(1.0 - missed, number * chance)).sum(axis=1)
        return touched

    def _held(self, held_rows: Numbers) -> Numbers:
        """Return the share of each group that is held when groups are taken hottest first."""
        before = np.cumsum(self.rows, axis=1) - self.rows
        left = np.broadcast_to(held_rows, len(self.rows))[:, None] - before
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.rows > 0.0, np.clip(left / self.rows, 0.0, 1.0), 0.0)


def popularity_of(tables: Iterable[EmbeddingTable]) -> Popularity:
    """Return the popularity of the rows of some tables, as their histogram or power law says.

    *Equation.* Power law: the row of rank i is looked up in proportion to i^−skew. Ranks from
    33 on are grouped, 12 groups per decade; within a group rows count as equally popular.

    Raises
    ------
    CatalogError
        For a reuse histogram that the catalogue does not have.
    """
    lines = [_groups(table.rows, table.reuse, table.skew) for table in tables]
    return Popularity(_filled([rows for rows, _ in lines]), _filled([shares for _, shares in lines]))


@lru_cache(maxsize=4096)
def _groups(rows: int, reuse: str | None, skew: float | None) -> tuple[Numbers, Numbers]:
    if reuse is not None:
        group_rows, shares = reuse_histogram(reuse).groups_of_table(rows)
        hottest_first = np.argsort(-shares / group_rows, kind="stable")
        return group_rows[hottest_first], shares[hottest_first]
    if not skew:
        return np.array([float(rows)]), np.array([1.0])
    return _power_law(rows, skew)


def _power_law(rows: int, skew: float) -> tuple[Numbers, Numbers]:
    """Return groups of ranks and the shares of a power law; the sum over a group as an integral."""
    edges = np.arange(1, min(rows, _SINGLE_RANKS) + 1, dtype=float)
    if rows > _SINGLE_RANKS:
        groups = math.ceil(_GROUPS_PER_DECADE * math.log10(rows / _SINGLE_RANKS))
        grouped = np.unique(np.rint(np.geomspace(_SINGLE_RANKS, rows, groups + 1)))
        edges = np.concatenate((edges, grouped[1:]))
    first = np.concatenate(([0.0], edges[:-1]))
    counts = edges - first
    # The midpoint rule on [first + 1/2, last + 1/2] is exact to 1e-4 from rank 33 on.
    weights = np.where(counts == 1.0, edges**-skew, _integral(first + 0.5, edges + 0.5, skew))
    return counts, weights / weights.sum()


def _integral(lower: Numbers, upper: Numbers, skew: float) -> Numbers:
    if abs(skew - 1.0) < 1e-9:
        logarithm: Numbers = np.log(upper / lower)
        return logarithm
    power: Numbers = (upper ** (1.0 - skew) - lower ** (1.0 - skew)) / (1.0 - skew)
    return power


def _filled(lines: Sequence[Numbers]) -> Numbers:
    filled = np.zeros((len(lines), max(map(len, lines), default=0)))
    for line, values in zip(filled, lines, strict=True):
        line[: len(values)] = values
    return filled
