"""Write the tables and draw the picture of docs/validation-training.md from predicted rows.

clustersim validate training --csv > docs/validation-training.csv
python tools/training_page.py
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from clustersim.study.validation.training.plot import plot_training
from clustersim.study.validation.training.report import TrainingReport
from clustersim.study.validation.training.result import PARTS, TrainingResult

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "docs" / "validation-training.csv"
PAGE = ROOT / "docs" / "validation-training.md"
PICTURE = ROOT / "docs" / "images" / "validation-training.png"
BEGIN, END = "<!-- tables: tools/training_page.py -->", "<!-- end of tables -->"


def main() -> None:
    """Replace what stands between the two marks of the page, and the picture."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    plot_training(saved_report().timed).savefig(PICTURE, dpi=110, bbox_inches="tight")


def with_tables(page: str) -> str:
    """Return the page with the tables that the rows amount to."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    summary = "\n".join(saved_report().summary_lines())
    return f"{before}{BEGIN}\n```text\n{summary}\n```\n{END}{after}"


def saved_report() -> TrainingReport:
    """Return the report of the saved rows."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return TrainingReport("", tuple(map(_result, csv.DictReader(file))))


def _result(row: Mapping[str, str]) -> TrainingResult:
    """Return a row as it was before `records` wrote it down."""
    gib = 2.0**30
    return TrainingResult(
        row["id"],
        row["table"],
        "s",
        _number(row["measured_s"]),
        _number(row["predicted_s"]),
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
        memory_bytes=gib * (_number(row["memory_gib"]) or 0.0),
        capacity_bytes=gib * (_number(row["capacity_gib"]) or 0.0),
        observed_memory_bytes=None if not row["observed_gib"] else gib * float(row["observed_gib"]),
        parts={name: float(row[name]) for name in PARTS if row.get(name)},
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


if __name__ == "__main__":
    main()
