"""Training runs of large models beside published iteration times.

A table gives hardware, framework, model and layout; each row becomes a job on an idle cluster whose
network never blocks, and one iteration of it is simulated. Nothing is fitted to these rows: kernels,
collectives and memory are those of every run, and what a framework does is written in
`clustersim.study.validation.training.frameworks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clustersim.engine.collection import rare_collection
from clustersim.study.executor import call_all, usable_cores
from clustersim.study.validation.framework import Row, Validation
from clustersim.study.validation.training.columns import renamed
from clustersim.study.validation.training.prediction import Outcome, predict_row, simulate
from clustersim.study.validation.training.report import TrainingReport
from clustersim.study.validation.training.result import TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clustersim.catalog.hardware import Hardware
    from clustersim.catalog.models import TransformerModel
    from clustersim.spec.training import TrainingSpec

__all__ = ["TRAINING", "predict_rows"]

_JOB = ("gpu", "system", "framework", "model", "gpu_count", "tp", "pp", "cp")

_ROWS_PER_PROCESS = 24
"""Rows that are worth a process of their own."""
_LEAST_SHARES = 16
"""Shares that smaller tables are cut into, so that what is done can be told."""


def predict_rows(
    rows: Sequence[dict[str, str]], *, jobs: int | None = None
) -> Iterator[tuple[int, TrainingResult]]:
    """Predict the iteration time of each row, in seconds, and yield it with its position when it is done.

    Rows of equal jobs are simulated once; many rows are shared among all cores.

    Raises
    ------
    InputError
        If a table lacks a column.
    """
    rows = [renamed(row) for row in rows]
    alike = sorted(range(len(rows)), key=lambda position: _job_of(rows[position]))
    parts = max(len(rows) // _ROWS_PER_PROCESS, min(len(rows) // 4, _LEAST_SHARES))
    cores = usable_cores() if jobs is None else jobs
    if parts < 2 or cores < 2:
        yield from zip(alike, _predict_each([rows[position] for position in alike]), strict=True)
        return
    shares = [alike[part * len(rows) // parts : (part + 1) * len(rows) // parts] for part in range(parts)]
    calls = call_all(_predict_share, [[rows[position] for position in share] for share in shares], jobs=cores)
    for part, answer in calls:
        if isinstance(answer, Exception):
            raise answer
        yield from zip(shares[part], answer, strict=True)


def _job_of(row: dict[str, str]) -> tuple[str, ...]:
    """Return what makes rows be of one job, what takes long first."""
    return tuple(row.get(column, "") for column in _JOB)


def _predict_share(rows: Sequence[dict[str, str]]) -> list[TrainingResult]:
    return list(_predict_each(rows))


def _predict_each(rows: Sequence[dict[str, str]]) -> Iterator[TrainingResult]:
    remembered: dict[object, Outcome] = {}

    def once(specs: Sequence[TrainingSpec], model: TransformerModel, hardware: Hardware) -> Outcome:
        key = (*(spec.model_dump_json() for spec in specs), model, hardware.title, hardware.node.accelerator)
        if key not in remembered:
            remembered[key] = simulate(specs, model, hardware)
        return remembered[key]

    with rare_collection():
        for row in rows:
            yield predict_row(row, simulator=once)


def _plot(rows: Sequence[Row]) -> Figure:
    from clustersim.study.validation.training.plot import plot_training

    return plot_training([row for row in rows if isinstance(row, TrainingResult)])


TRAINING = Validation(
    name="training",
    title="Training runs: iteration time against published runs",
    shipped="training.csv",
    columns=(),
    predict=predict_rows,
    plotter=_plot,
    report=TrainingReport,
    held_out="training_others.csv",
    as_they_come=True,
)
