"""LLM serving beside published measurements: batches, offline throughput, and latencies under load.

A table gives hardware, engine, model, layout, lengths and load; each row becomes a service on an idle
cluster and is simulated request by request. Nothing is fitted to these rows: kernels, collectives and
memory are those of every run; what an engine costs on the host is in the catalogue, with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.study.validation.framework import Row, Validation
from clustersim.study.validation.inference.report import InferenceReport
from clustersim.study.validation.inference.row import COLUMNS, METRICS, ServingRow, read_row
from clustersim.study.validation.inference.service import AT_ONCE, simulate
from clustersim.study.validation.inference.tables import read_table
from clustersim.study.validation.service_rows import ServiceRows, by_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INFERENCE", "predict_rows"]


class InferenceValidation(Validation):
    """A validation whose tables may also have the columns of Splitwise or MLPerf."""

    def read(self, table: Path) -> list[dict[str, str]]:
        """Return a row per figure that was measured; column `metric` names it."""
        return [each for row in read_table(table) for each in by_metric(row, METRICS)]


def predict_rows(rows: Sequence[dict[str, str]], *, jobs: int | None = None) -> Iterator[tuple[int, Row]]:
    """Predict the figure of each row; see `ServiceRows.predict`."""
    return _ROWS.predict(rows, share=_predict_share, jobs=jobs)


def _predict_share(rows: Sequence[dict[str, str]]) -> list[Row]:
    return _ROWS.predict_share(rows)


def _service(read: ServingRow) -> ServingRow:
    return replace(read, id="", table="", notes="", measured=dict.fromkeys(METRICS, 1.0))


def _unusable(read: ServingRow, found: Mapping[str, float]) -> str:
    if "first_tokens_s" in read.measured and not found[AT_ONCE]:
        return f"{read.batch} requests do not fit into the KV cache at once, so they are no batch"
    return ""


_ROWS = ServiceRows(
    metrics=METRICS,
    words=("gpu", "model", "gpus", "tensor", "batch", "rate_per_s"),
    rows_per_process=16,
    read=read_row,
    service=_service,
    simulate=simulate,
    unusable=_unusable,
)


def _plot(rows: Sequence[Row]) -> Figure:
    from clustersim.study.validation.inference.plot import plot_inference

    return plot_inference(rows)


INFERENCE = InferenceValidation(
    name="inference",
    title="LLM serving: latencies and throughput against published measurements",
    shipped="inference.csv",
    columns=COLUMNS,
    predict=predict_rows,
    plotter=_plot,
    report=InferenceReport,
    as_they_come=True,
)
