"""Write the tables and draw the picture of docs/validation-inference.md from predicted rows.

clustersim validate inference --csv > docs/validation-inference.csv
python tools/inference_page.py
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from clustersim.study.validation.framework import Row
from clustersim.study.validation.inference.plot import plot_inference
from clustersim.study.validation.inference.report import InferenceReport

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "docs" / "validation-inference.csv"
PAGE = ROOT / "docs" / "validation-inference.md"
PICTURE = ROOT / "docs" / "images" / "validation-inference.png"
BEGIN, END = "<!-- tables: tools/inference_page.py -->", "<!-- end of tables -->"


def main() -> None:
    """Replace what stands between the two marks of the page, and the picture."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    plot_inference(saved_report().modelled).savefig(PICTURE, dpi=110, bbox_inches="tight")


def with_tables(page: str) -> str:
    """Return the page with the tables that the rows amount to."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    summary = "\n".join(saved_report().summary_lines())
    return f"{before}{BEGIN}\n```text\n{summary}\n```\n{END}{after}"


def saved_report() -> InferenceReport:
    """Return the report of the saved rows."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return InferenceReport("", tuple(map(_row, csv.DictReader(file))))


def _row(row: Mapping[str, str]) -> Row:
    """Return a row as it was before `records` wrote it down."""
    return Row(
        row["id"],
        row["group"],
        row["unit"],
        float(row["measured"]) if row["measured"] else None,
        float(row["predicted"]) if row["predicted"] else None,
        reason=row["reason"],
        note=row["note"],
    )


if __name__ == "__main__":
    main()
