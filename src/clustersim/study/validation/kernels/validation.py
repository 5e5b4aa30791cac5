"""Kernel times beside public tables: matrix products, attention, experts, memory-bound kernels.

The shipped table holds published figures of many devices; a folder of tables (see
`clustersim.study.validation.kernels.tables`) or a table of one's own with the same columns takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim import catalog
from clustersim.cost.operators import Operator
from clustersim.cost.roofline import Roofline
from clustersim.errors import CatalogError
from clustersim.study.validation.framework import Progress, Row, Validation, ValidationReport, no_progress
from clustersim.study.validation.kernels.report import KernelsReport
from clustersim.study.validation.kernels.rows import COLUMNS, KernelRow, kernel_class, table_rows
from clustersim.study.validation.kernels.tables import Measurement, measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KERNELS", "predict_rows"]


class KernelValidation(Validation):
    """A validation whose table may also be a folder of public kernel tables."""

    def run(self, *tables: Path, progress: Progress = no_progress) -> ValidationReport:
        """Predict every row of the shipped table, of `tables`, or of the tables in a folder.

        Raises
        ------
        InputError
            If nothing there can be read.
        """
        if len(tables) != 1 or not tables[0].is_dir():
            return super().run(*tables, progress=progress)
        return self.report(self.title, tuple(_predicted(measurements(tables[0]))), self.plotter)


def predict_rows(rows: Sequence[dict[str, str]]) -> Iterator[Row]:
    """Predict the time of each row of a table, in microseconds."""
    return _predicted(table_rows(rows))


def _predicted(measured: Iterable[Measurement]) -> Iterator[Row]:
    for measurement in measured:
        yield _row(measurement)


def _row(measurement: Measurement) -> KernelRow:
    operators, reason, predicted_us = measurement.operators, measurement.reason, None
    if not reason:
        try:
            roofline = _timer(measurement.device)
            predicted_us = 1e6 * sum(roofline(operator) * operator.count for operator in operators)
        except CatalogError as error:
            reason = str(error)
    return KernelRow(
        id=measurement.row,
        group=measurement.table,
        unit="us",
        measured=1e6 * measurement.seconds,
        predicted=predicted_us,
        reason=reason,
        x=sum(operator.flops for operator in operators),
        table=measurement.table,
        device=measurement.device,
        precision=operators[0].precision if operators else "",
        kernel=kernel_class(operators) if operators else "",
    )


@cache
def _timer(device: str) -> Callable[[Operator], float]:
    """Return a device's time for one kernel; the tables name many kernels more than once."""
    roofline = Roofline(catalog.accelerator(device))
    return cache(lambda operator: roofline.kernel(operator).seconds)


def _plot(rows: Sequence[Row]) -> Figure:
    from clustersim.study.validation.kernels.plot import plot_kernels

    return plot_kernels([row for row in rows if isinstance(row, KernelRow)])


KERNELS = KernelValidation(
    name="kernels",
    title="Time of kernels, beside public tables",
    shipped="kernels.csv",
    columns=COLUMNS,
    predict=predict_rows,
    plotter=_plot,
    report=KernelsReport,
)
