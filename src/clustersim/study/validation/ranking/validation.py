"""Ranking models beside published measurements: steps of training, and services.

A table gives hardware, framework, model and batch; each row becomes a job or a service on idle hardware and
is simulated. Nothing is fitted to these rows: kernels, collectives and memory are those of every run; what a
framework or an engine does is in the catalogue, with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.errors import InputError
from clustersim.study.executor import call_all, usable_cores
from clustersim.study.validation.framework import Row, Validation, read_table
from clustersim.study.validation.ranking.report import RankingReport
from clustersim.study.validation.ranking.serving import predict_serving_rows
from clustersim.study.validation.ranking.serving_row import COLUMNS as SERVING_COLUMNS
from clustersim.study.validation.ranking.serving_row import METRICS
from clustersim.study.validation.ranking.serving_tables import is_serving_table, read_serving_table
from clustersim.study.validation.ranking.training_columns import is_training_table, renamed
from clustersim.study.validation.ranking.training_prediction import predict_training_rows
from clustersim.study.validation.service_rows import by_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RANKING", "predict_rows"]

_SERVING = "ranking_serving.csv"
_PHASE = "phase"
_ROWS_PER_PROCESS = 8
"""Rows of training that are worth a process of their own."""


class RankingValidation(Validation):
    """A validation whose tables are of training or of services, told apart by their columns."""

    def read(self, table: Path) -> list[dict[str, str]]:
        """Return the rows of a table in our columns; column `phase` says of which kind they are.

        Raises
        ------
        InputError
            If the table cannot be read, or is of neither kind.
        """
        rows = read_table(table, ())
        if is_serving_table(rows[0]):
            serving = read_serving_table(table)
            return [{**figure, _PHASE: "serving"} for row in serving for figure in by_metric(row, METRICS)]
        if not is_training_table(rows[0]):
            try:
                renamed(rows[0])
            except InputError as error:
                raise InputError(f"{table}: {error}; and no table of services: {_missing(rows[0])}") from None
        return [{**renamed(row), _PHASE: "training"} for row in rows]

    def shipped_rows(self) -> list[dict[str, str]]:
        """Return the rows of the shipped tables, those of services last."""
        data = Path(__file__).parents[1] / "data"
        return [*super().shipped_rows(), *self.read(data / _SERVING)]


def _missing(columns: dict[str, str]) -> str:
    name = next((name for name in SERVING_COLUMNS if name not in columns), "samples")
    return f"column '{name}' is missing"


def predict_rows(rows: Sequence[dict[str, str]], *, jobs: int | None = None) -> Iterator[tuple[int, Row]]:
    """Predict each row, and yield it with its position when it is done; on all cores where there are many."""
    training = [position for position, row in enumerate(rows) if row.get(_PHASE) != "serving"]
    serving = [position for position, row in enumerate(rows) if row.get(_PHASE) == "serving"]
    cores = usable_cores() if jobs is None else jobs
    yield from _training([rows[position] for position in training], training, cores)
    for number, row in predict_serving_rows([rows[position] for position in serving], jobs=jobs):
        yield serving[number], row


def _training(
    rows: Sequence[dict[str, str]], positions: Sequence[int], cores: int
) -> Iterator[tuple[int, Row]]:
    """Predict rows of training; those of equal jobs go to one process, which simulates them once."""
    alike = sorted(range(len(rows)), key=lambda number: _job_words(rows[number]))
    count = max(1, len(rows) // _ROWS_PER_PROCESS)
    shares = [alike[part * len(rows) // count : (part + 1) * len(rows) // count] for part in range(count)]
    tables = [[rows[number] for number in share] for share in shares]
    for part, answer in call_all(predict_training_rows, tables, jobs=cores):
        if isinstance(answer, Exception):
            raise answer
        yield from zip((positions[number] for number in shares[part]), answer, strict=True)


def _job_words(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row.get(column) or "" for column in ("gpus", "gpu", "model", "global_batch", "framework"))


def _plot(rows: Sequence[Row]) -> Figure:
    from clustersim.study.validation.ranking.plot import plot_ranking

    return plot_ranking(rows)


RANKING = RankingValidation(
    name="ranking",
    title="Ranking models: step times of training, throughput and latencies of services",
    shipped="ranking_training.csv",
    columns=(),
    predict=predict_rows,
    plotter=_plot,
    report=RankingReport,
    held_out="ranking_others.csv",
    as_they_come=True,
)
