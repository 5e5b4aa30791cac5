"""Collectives beside nccl-tests style tables: time against message size on published systems.

A row names hardware and library in words; `clustersim.catalog.hardware` reads them, and
`clustersim.study.validation.collectives.prediction` predicts. What was understood is printed; a row
whose words are not understood is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clustersim.catalog.hardware import Hardware, read_library, understand
from clustersim.errors import ClusterSimError, InputError
from clustersim.study.validation.collectives.prediction import bus_factor, kind_of, predict
from clustersim.study.validation.collectives.report import CollectivesReport
from clustersim.study.validation.collectives.rows import CollectiveRow
from clustersim.study.validation.framework import Row, Validation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLLECTIVES", "hardware_of"]

_COLUMNS = (
    "table_id", "system", "gpu", "n_nodes", "gpus_per_node", "inter_link",
    "collective", "library", "size_bytes", "time_us",
)  # fmt: skip
_WORDS = ("gpu", "n_nodes", "gpus_per_node", "intra_link", "inter_link", "system")
_AS_ABOVE = "same"


def hardware_of(row: Mapping[str, str]) -> Hardware:
    """Return the hardware of a table row.

    Raises
    ------
    InputError
        With the word that is not understood or the reason why the row cannot be modelled.
    """
    return understand(
        gpu=row["gpu"],
        nodes=_count(row, "n_nodes"),
        gpus_per_node=_count(row, "gpus_per_node"),
        intra_link=row.get("intra_link", ""),
        inter_link=row["inter_link"],
        system=row["system"],
    )


def _count(row: Mapping[str, str], column: str) -> int:
    try:
        count = int(row[column])
    except ValueError:
        count = 0
    if count < 1:
        raise InputError(f"{column} is '{row[column]}', not a number from 1")
    return count


@dataclass(frozen=True)
class _Measured:
    """A row as numbers; what cannot be read is in `reason`."""

    row: Mapping[str, str]
    system: str
    size_bytes: float | None
    time_us: float | None
    reason: str = ""


def predict_rows(rows: Sequence[dict[str, str]]) -> Iterator[Row]:
    """Predict the time of each row, in microseconds."""
    system = ""
    understood: dict[tuple[str, ...], Hardware | str] = {}
    for row in rows:
        system = row["system"] if row["system"].strip().lower() != _AS_ABOVE else system
        yield _predicted(_measured(row, system), understood)


def _measured(row: Mapping[str, str], system: str) -> _Measured:
    try:
        size_bytes, time_us = float(row["size_bytes"]), float(row["time_us"])
    except ValueError:
        return _Measured(row, system, None, None, "size or time is not a number")
    if not (0 < size_bytes < float("inf") and 0 < time_us < float("inf")):
        return _Measured(row, system, None, None, "size or time is not positive")
    return _Measured(row, system, size_bytes, time_us)


def _predicted(measured: _Measured, understood: dict[tuple[str, ...], Hardware | str]) -> CollectiveRow:
    row, table = measured.row, measured.row["table_id"]
    identity = f"{table}:{row['size_bytes']}"
    if measured.size_bytes is None:
        return CollectiveRow(identity, table, "us", None, None, measured.reason, table=table)
    key = tuple(row.get(name, "") for name in _WORDS)
    try:
        if key not in understood:
            understood[key] = _hardware_or_reason(row)
        hardware = understood[key]
        if isinstance(hardware, str):
            raise InputError(hardware)
        found = predict(hardware, read_library(row["library"]), row["collective"], measured.size_bytes)
    except ClusterSimError as error:
        return CollectiveRow(identity, table, "us", measured.time_us, None, str(error), table=table)
    return CollectiveRow(
        identity,
        f"{table}: {row['collective']}, {hardware.title}",
        "us",
        measured.time_us,
        1e6 * found.seconds,
        note=found.algorithm,
        x=measured.size_bytes,
        table=table,
        system=measured.system,
        hardware=hardware.title,
        assumed=hardware.assumed,
        kind=kind_of(row["collective"]).partition(":")[0],
        library=row["library"],
        nodes=hardware.nodes,
        ranks=hardware.nodes * hardware.gpus_per_node,
        bus_factor=bus_factor(hardware, row["collective"]),
    )


def _hardware_or_reason(row: Mapping[str, str]) -> Hardware | str:
    try:
        return hardware_of(row)
    except ClusterSimError as error:
        return str(error)


def _plot(rows: Sequence[Row]) -> Figure:
    from clustersim.study.validation.collectives.plot import plot_collectives

    return plot_collectives([row for row in rows if isinstance(row, CollectiveRow)])


COLLECTIVES = Validation(
    name="collectives",
    title="Time of collectives against message size, beside nccl-tests tables",
    shipped="collectives.csv",
    columns=_COLUMNS,
    predict=predict_rows,
    plotter=_plot,
    report=CollectivesReport,
)
