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

from clustersim.errors import ClusterSimError, InputError
from clustersim.study.executor import call_all, usable_cores
from clustersim.study.validation.framework import Row, Validation
from clustersim.study.validation.inference.report import InferenceReport
from clustersim.study.validation.inference.row import COLUMNS, METRICS, ServingRow, read_row
from clustersim.study.validation.inference.service import AT_ONCE, simulate
from clustersim.study.validation.inference.tables import read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INFERENCE", "predict_rows"]

_ROWS_PER_PROCESS = 16
"""Rows that are worth a process of their own."""


class InferenceValidation(Validation):
    """A validation whose tables may also have the columns of Splitwise or MLPerf."""

    def read(self, table: Path) -> list[dict[str, str]]:
        """Return a row per figure that was measured; column `metric` names it."""
        return [each for row in read_table(table) for each in _by_metric(row)]


def _by_metric(row: dict[str, str]) -> list[dict[str, str]]:
    measured = [name for name in METRICS if (row.get(name) or "").strip()]
    return [{**row, "metric": name} for name in measured] or [{**row, "metric": ""}]


def predict_rows(rows: Sequence[dict[str, str]], *, jobs: int | None = None) -> Iterator[tuple[int, Row]]:
    """Predict the figure of each row; on all cores where there are many.

    Rows of equal services go to one process, which simulates them once.

    Yields
    ------
    Position and prediction, as they are done.
    """
    alike = sorted(range(len(rows)), key=lambda position: _service_words(rows[position]))
    parts = max(1, len(rows) // _ROWS_PER_PROCESS)
    shares = [alike[part * len(rows) // parts : (part + 1) * len(rows) // parts] for part in range(parts)]
    cores = usable_cores() if jobs is None else jobs
    calls = call_all(_predict_share, [[rows[position] for position in share] for share in shares], jobs=cores)
    for part, answer in calls:
        if isinstance(answer, Exception):
            raise answer
        yield from zip(shares[part], answer, strict=True)


def _service_words(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        row.get(column) or "" for column in ("gpu", "model", "gpus", "tensor", "batch", "rate_per_s")
    )


def _predict_share(rows: Sequence[dict[str, str]]) -> list[Row]:
    remembered: dict[ServingRow, dict[str, float] | str] = {}
    return [_predict_row(row, remembered) for row in rows]


def _predict_row(row: Mapping[str, str], remembered: dict[ServingRow, dict[str, float] | str]) -> Row:
    empty = Row(row["row_id"], row["table"], "", None, None, note=row.get("notes") or "")
    if row.get("refused"):
        return replace(empty, reason=row["refused"])
    try:
        read = read_row(row)
    except InputError as error:
        return replace(empty, reason=str(error))
    service = replace(read, id="", table="", notes="", measured=dict.fromkeys(METRICS, 1.0))
    if service not in remembered:
        remembered[service] = _simulated(service)
    found = remembered[service]
    if not isinstance(found, str) and "first_tokens_s" in read.measured and not found[AT_ONCE]:
        found = f"{read.batch} requests do not fit into the KV cache at once, so they are no batch"
    return _row(empty, row["metric"], read.measured[row["metric"]], found)


def _simulated(service: ServingRow) -> dict[str, float] | str:
    """Return the metrics, or why there are none."""
    try:
        return simulate(service)
    except ClusterSimError as error:
        return str(error)


def _row(empty: Row, name: str, value: float, found: dict[str, float] | str) -> Row:
    unit = METRICS[name]
    metric = name.removesuffix("_s") if unit == "s" else name.removesuffix("_per_s") + "/s"
    row = replace(
        empty, id=f"{empty.id} {metric}", group=f"{empty.group}: {metric}", unit=unit, measured=value
    )
    if isinstance(found, str):
        return replace(row, reason=found)
    if name not in found:
        return replace(row, reason="the simulated run has no such figure")
    return replace(row, predicted=found[name])


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
