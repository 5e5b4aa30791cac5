"""Write the tables and draw the picture of docs/validation-training.md from predicted rows.

clustersim validate training --csv > docs/validation-training.csv
python tools/training_page.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from validation_page import ValidationPage, number

from clustersim.study.validation.framework import Row
from clustersim.study.validation.training.plot import plot_training
from clustersim.study.validation.training.report import TrainingReport
from clustersim.study.validation.training.result import PARTS, TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _result(row: Mapping[str, str]) -> TrainingResult:
    gib = 2.0**30
    return TrainingResult(
        row["id"],
        row["table"],
        "s",
        number(row["measured_s"]),
        number(row["predicted_s"]),
        reason=row["reason"],
        table=row["table"],
        system=row["system"],
        gpu=row["gpu"],
        framework=row["framework"],
        model=row["model"],
        layout=row["layout"],
        gpus=int(row["gpus"]),
        experts=row["experts"] == "True",
        held_out=row.get("held_out") == "True",
        basis=row["basis"],
        tried=int(row["tried"]),
        ran_out_of_memory=row["basis"] == "out of memory",
        memory_bytes=gib * (number(row["memory_gib"]) or 0.0),
        capacity_bytes=gib * (number(row["capacity_gib"]) or 0.0),
        observed_memory_bytes=None if not row["observed_gib"] else gib * float(row["observed_gib"]),
        parts={name: float(row[name]) for name in PARTS if row.get(name)},
    )


def _plot(rows: Sequence[Row]) -> Figure:
    return plot_training([row for row in rows if isinstance(row, TrainingResult)])


PAGE = ValidationPage("training", lambda rows: TrainingReport("", rows, _plot), _result)


if __name__ == "__main__":
    PAGE.write()
