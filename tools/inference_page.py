"""Write the tables and draw the picture of docs/validation-inference.md from predicted rows.

clustersim validate inference --csv > docs/validation-inference.csv
python tools/inference_page.py
"""

from __future__ import annotations

from collections.abc import Mapping

from validation_page import ValidationPage, number

from clustersim.study.validation.framework import Row
from clustersim.study.validation.inference.plot import plot_inference
from clustersim.study.validation.inference.report import InferenceReport


def _row(row: Mapping[str, str]) -> Row:
    return Row(
        row["id"],
        row["group"],
        row["unit"],
        number(row["measured"]),
        number(row["predicted"]),
        reason=row["reason"],
        note=row["note"],
    )


PAGE = ValidationPage("inference", lambda rows: InferenceReport("", rows, plot_inference), _row)


if __name__ == "__main__":
    PAGE.write()
