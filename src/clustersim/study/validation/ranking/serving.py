"""Ranking services beside published measurements: MLPerf's Offline and Server, and Triton's clients.

A row gives hardware, engine, model and load; it becomes a service on an idle GPU that is simulated query by
query. Nothing is fitted to single rows: kernels and copies are those of every run, and what an engine costs
beside them is in the catalogue (`ranking_engines.yaml`), with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from clustersim.errors import ClusterSimError, InputError
from clustersim.study.executor import call_all, usable_cores
from clustersim.study.validation.framework import Row
from clustersim.study.validation.ranking.serving_row import METRICS, RankingServingRow, read_row
from clustersim.study.validation.ranking.serving_service import simulate

__all__ = ["by_metric", "predict_serving_rows"]

_ROWS_PER_PROCESS = 12
"""Rows that are worth a process of their own."""


def by_metric(row: dict[str, str]) -> list[dict[str, str]]:
    """Return a row per figure that was measured; column `metric` names it."""
    measured = [name for name in METRICS if (row.get(name) or "").strip()]
    return [{**row, "metric": name} for name in measured] or [{**row, "metric": ""}]


def predict_serving_rows(
    rows: Sequence[dict[str, str]], *, jobs: int | None = None
) -> Iterator[tuple[int, Row]]:
    """Predict the figure of each row of `by_metric`; on all cores where there are many.

    Figures of equal services go to one process, which simulates them once.

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
    return tuple(row.get(column) or "" for column in ("gpu", "model", "engine", "interaction", "row_id"))


def _predict_share(rows: Sequence[dict[str, str]]) -> list[Row]:
    remembered: dict[RankingServingRow, dict[str, float] | str] = {}
    return [_predict_row(row, remembered) for row in rows]


def _predict_row(row: Mapping[str, str], remembered: dict[RankingServingRow, dict[str, float] | str]) -> Row:
    empty = Row(row["row_id"], row["table"], "", None, None, note=row.get("notes") or "")
    if row.get("refused"):
        return replace(empty, reason=row["refused"])
    try:
        read = read_row(row)
    except InputError as error:
        return replace(empty, reason=str(error))
    service = replace(read, id="", table="", notes="", system="", measured={})
    if service not in remembered:
        remembered[service] = _simulated(service)
    return _row(empty, row["metric"], read.measured[row["metric"]], remembered[service])


def _simulated(service: RankingServingRow) -> dict[str, float] | str:
    """Return the metrics, or why there are none."""
    try:
        return simulate(service)
    except ClusterSimError as error:
        return str(error)


def _row(empty: Row, name: str, value: float, found: dict[str, float] | str) -> Row:
    unit = METRICS[name]
    figure = name.removesuffix("_s") if unit == "s" else name.removesuffix("_per_s") + "/s"
    row = replace(
        empty, id=f"{empty.id} {figure}", group=f"{empty.group}: {figure}", unit=unit, measured=value
    )
    if isinstance(found, str):
        return replace(row, reason=found)
    if name not in found:
        return replace(row, reason="the simulated run has no such figure")
    return replace(row, predicted=found[name])
