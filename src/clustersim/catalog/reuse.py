"""Reuse histograms: how often the rows of embedding tables are met again, in public traces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog._store import Record, Shelf, Source, read_yaml

__all__ = ["SHELF", "ReuseHistogram", "reuse_histogram"]

_FEW_ROWS = 0.01
"""Shares of rows have three decimals: below this the mean use of a group is not read from them."""

_NEWTON_STEPS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class ReuseHistogram:
    """Rows of a recorded batch in groups by how often they were looked up.

    *Equation.* A group with the share g of the N look-ups, whose rows were used k̄ times each, has
    r = g·N/k̄ rows; k̄ = g·N/(f·U), with f its share of the U rows touched, where f has two digits
    or more, else the mean of a density 1/k over the group: (k₂ − k₁)/ln(k₂/k₁).

    Parameters
    ----------
    tables, samples
        Tables in the record, and samples of its batch.
    lookups, distinct_rows
        Of all tables: N and U.
    rows, shares
        By group, rare rows first: rows of all tables (r), and shares of the look-ups (they add up to 1).

    **Valid when** a table is like the mean of those recorded: the histogram does not tell tables apart.
    **Source:** `sources`. **Checked by:** tests/catalog/test_reuse.py.
    """

    name: str
    tables: int
    samples: int
    lookups: float
    distinct_rows: float
    rows: NDArray[np.float64]
    shares: NDArray[np.float64]
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """Which trace it was made from."""
        return self.sources["all"]

    @property
    def mean_uses(self) -> float:
        """Look-ups per row touched."""
        return self.lookups / self.distinct_rows

    def groups_of_table(self, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return rows and shares of look-ups of a table's groups, rare rows first.

        *Equation.* A table of R rows beside the record's mean of U/tables touched ones: where R is
        less, all groups shrink alike. Where it is more, R − U/tables rows were not met; they take a
        share of the look-ups such that a batch as large as the recorded one touches as many different
        rows as it did, but none of them is more popular than a row that was met once.
        """
        touched = float(self.rows.sum()) / self.tables
        if rows <= touched:
            return self.rows * (rows / touched / self.tables), self.shares
        missing = self._share_of_unseen(rows - touched)
        return (
            np.concatenate(([rows - touched], self.rows / self.tables)),
            np.concatenate(([missing], self.shares * (1.0 - missing))),
        )

    def _share_of_unseen(self, unseen_rows: float) -> float:
        """Return the share m of look-ups that goes to rows outside the record.

        *Equation:* n·Σ s·exp(−n·s/r) look-ups of a batch of n fall on rows met once there, and in
        first order the batch loses m times as many different rows of the record as it wins others:
        Σ r·exp(−n·s/r) = u·(1 − exp(−n·m/u)) − m·n·Σ s·exp(−n·s/r), solved by Newton's method, which
        comes from the left as the right side is concave.
        """
        lookups, rows = self.lookups / self.tables, self.rows / self.tables
        again = np.exp(-lookups * self.shares / rows)
        untouched, lost = float((rows * again).sum()), lookups * float((self.shares * again).sum())
        share = 0.0
        for _ in range(_NEWTON_STEPS):
            fresh = math.exp(-lookups * share / unseen_rows)
            slope = lookups * fresh - lost
            if slope <= 0.0:
                break
            share += (untouched - unseen_rows * (1.0 - fresh) + lost * share) / slope
        return min(share, float(self.shares[0]), unseen_rows / (lookups + unseen_rows))


def _build(record: Record) -> ReuseHistogram:
    fields = record.fields
    most_uses = np.array([*read_yaml(_FILE)["most_uses"], math.inf], dtype=float)
    shares = np.array(fields["share_of_lookups"], dtype=float)
    shares /= shares.sum()
    uses = _mean_uses(
        most_uses, shares * fields["lookups"], np.array(fields["share_of_rows"]), fields["distinct_rows"]
    )
    return ReuseHistogram(
        name=record.name,
        tables=fields["tables"],
        samples=fields["samples"],
        lookups=float(fields["lookups"]),
        distinct_rows=float(fields["distinct_rows"]),
        rows=shares * fields["lookups"] / uses,
        shares=shares,
        sources=MappingProxyType(dict(record.sources)),
    )


def _mean_uses(
    most: NDArray[np.float64],
    lookups: NDArray[np.float64],
    share_of_rows: NDArray[np.float64],
    distinct_rows: float,
) -> NDArray[np.float64]:
    """Return how often the rows of each group are used, within the bounds of the group."""
    least = np.concatenate(([1.0], most[:-1]))
    most = np.where(np.isinf(most), 2.0 * least, most)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = np.where(most > least, (most - least) / np.log(most / least), most)
        counted = lookups / (share_of_rows * distinct_rows)
    lowest = np.where(most > 1.0, least + 1.0, 1.0)
    return np.clip(np.where(share_of_rows >= _FEW_ROWS, counted, logarithmic), lowest, most)


_FILE = "embedding_reuse.yaml"
SHELF: Shelf[ReuseHistogram] = Shelf("reuse histogram", file=_FILE, build=_build)


def reuse_histogram(name: str) -> ReuseHistogram:
    """Return a reuse histogram of the catalogue; raise `CatalogError` for an unknown name."""
    return SHELF.get(name)
