"""Rows that a batch of candidates looks up, and where they are found."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.ranking.embedding import RowWork
from clustersim.cost.ranking.memory import row_bytes
from clustersim.cost.ranking.popularity import Popularity, popularity_of

__all__ = ["ServedTables"]

Numbers = NDArray[np.float64]


class ServedTables:
    """The tables of a model as a service looks them up.

    *Equation.* A table of the user is looked up pooling times per query of the batch, the others pooling
    times per candidate.

    Parameters
    ----------
    model
        Whose tables.
    precision
        Of rows whose table has none of its own.
    once_per_query
        Tables of the user are looked up once for a query; false: for each candidate.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    def __init__(self, model: RankingModel, *, precision: str, once_per_query: bool) -> None:
        tables = model.tables
        self.rows: Numbers = np.array([table.rows for table in tables], dtype=float)
        self._columns: Numbers = np.array([table.dimension for table in tables], dtype=float)
        self._pooling: Numbers = np.array([table.pooling for table in tables], dtype=float)
        self._pooled = np.array([table.pooled for table in tables], dtype=bool)
        self._of_user = np.array([once_per_query and not table.per_candidate for table in tables], dtype=bool)
        self.row_bytes: Numbers = np.array(
            [row_bytes(float(table.dimension), table.precision or precision) for table in tables], dtype=float
        )
        self._tables = tables

    @cached_property
    def popularity(self) -> Popularity:
        """Of the rows."""
        return popularity_of(self._tables)

    @property
    def bytes(self) -> float:
        """Of all tables."""
        return float((self.rows * self.row_bytes).sum())

    @property
    def counts_queries(self) -> bool:
        """Whether it matters how many queries the samples of a batch belong to."""
        return bool(self._of_user.any())

    def bags(self, samples: float, queries: float) -> Numbers:
        """Return how often each table is looked up: once per query or once per sample."""
        bags: Numbers = np.where(self._of_user, min(queries, samples), samples).astype(float)
        return bags

    def lookups(self, samples: float, queries: float) -> Numbers:
        """Return how many rows of each table are looked up."""
        return self.bags(samples, queries) * self._pooling

    def pooled_bytes(self, samples: float, queries: float, element_bytes: float) -> Numbers:
        """Return the bytes that look-ups of each table leave."""
        return self._outputs(samples, queries) * self._columns * element_bytes

    def work(self, samples: float, queries: float) -> RowWork:
        """Return the look-ups of a batch as one kernel's work."""
        return RowWork(
            columns=self._columns,
            row_bytes=self.row_bytes,
            bags=self.bags(samples, queries),
            lookups=self.lookups(samples, queries),
            outputs=self._outputs(samples, queries),
            part=np.ones(len(self.rows)),
            popularity=self.popularity,
        )

    def found(self, work: RowWork, share: Numbers) -> RowWork:
        """Return the work for the share of each table's look-ups that find their row here."""
        return replace(work, lookups=work.lookups * share)

    def _outputs(self, samples: float, queries: float) -> Numbers:
        bags = self.bags(samples, queries)
        outputs: Numbers = np.where(self._pooled, bags, bags * self._pooling)
        return outputs
