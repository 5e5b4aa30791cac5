"""Ranking services beside published measurements: MLPerf's Offline and Server, and Triton's clients.

A row gives hardware, engine, model and load; it becomes a service on an idle GPU that is simulated query by
query. Nothing is fitted to single rows: kernels and copies are those of every run, and what an engine costs
beside them is in the catalogue (`ranking_engines.yaml`), with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clustersim.study.validation.framework import Row
from clustersim.study.validation.ranking.serving_row import METRICS, RankingServingRow, read_row
from clustersim.study.validation.ranking.serving_service import simulate
from clustersim.study.validation.service_rows import ServiceRows

__all__ = ["predict_serving_rows"]


def predict_serving_rows(
    rows: Sequence[dict[str, str]], *, jobs: int | None = None
) -> Iterator[tuple[int, Row]]:
    """Predict the figure of each row; see `ServiceRows.predict`."""
    return _ROWS.predict(rows, share=_predict_share, jobs=jobs)


def _predict_share(rows: Sequence[dict[str, str]]) -> list[Row]:
    return _ROWS.predict_share(rows)


def _service(read: RankingServingRow) -> RankingServingRow:
    return replace(read, id="", table="", notes="", system="", measured={})


_ROWS = ServiceRows(
    metrics=METRICS,
    words=("gpu", "model", "engine", "interaction", "row_id"),
    rows_per_process=12,
    read=read_row,
    service=_service,
    simulate=simulate,
)
