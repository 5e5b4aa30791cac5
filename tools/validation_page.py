"""What the pages of `clustersim validate NAME` share: tables and a picture made of rows saved as CSV.

clustersim validate NAME --csv > docs/validation-NAME.csv
python tools/NAME_page.py
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clustersim.study.validation.framework import Row, ValidationReport

__all__ = ["ValidationPage", "number"]

DOCS = Path(__file__).parents[1] / "docs"
END = "<!-- end of tables -->"
PICTURE_DPI = 110


@dataclass(frozen=True)
class ValidationPage:
    """The page of one validation.

    Parameters
    ----------
    name
        Of the validation.
    report
        What sums its rows up, and draws them.
    row
        Turns a saved row into what it was before `records` wrote it down.
    """

    name: str
    report: Callable[[tuple[Row, ...]], ValidationReport]
    row: Callable[[Mapping[str, str]], Row]

    @property
    def path(self) -> Path:
        """The page."""
        return DOCS / f"validation-{self.name}.md"

    @property
    def rows(self) -> Path:
        """Predicted rows."""
        return DOCS / f"validation-{self.name}.csv"

    def write(self) -> None:
        """Replace what stands between the two marks of the page, and the picture."""
        self.path.write_text(self.with_tables(self.path.read_text(encoding="utf-8")), encoding="utf-8")
        report = self.saved_report()
        assert report.plotter is not None
        picture = DOCS / "images" / f"validation-{self.name}.png"
        report.plotter(report.modelled).savefig(picture, dpi=PICTURE_DPI, bbox_inches="tight")

    def with_tables(self, page: str) -> str:
        """Return the page with the tables that the rows amount to."""
        begin = f"<!-- tables: tools/{self.name}_page.py -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(END)
        summary = "\n".join(self.saved_report().summary_lines())
        return f"{before}{begin}\n```text\n{summary}\n```\n{END}{after}"

    def saved_report(self) -> ValidationReport:
        """Return the report of the saved rows."""
        with self.rows.open(encoding="utf-8", newline="") as file:
            return self.report(tuple(map(self.row, csv.DictReader(file))))


def number(text: str) -> float | None:
    """Return a saved number; None where there was none."""
    return float(text) if text else None
