"""Write the tables and draw the picture of docs/validation-ranking.md from predicted rows.

clustersim validate ranking --csv > docs/validation-ranking.csv
python tools/ranking_page.py
"""

from __future__ import annotations

from collections.abc import Mapping

from validation_page import ValidationPage, number

from clustersim.study.validation.framework import Row
from clustersim.study.validation.ranking.plot import plot_ranking
from clustersim.study.validation.ranking.report import RankingReport
from clustersim.study.validation.ranking.result import RankingResult


def _row(row: Mapping[str, str]) -> Row:
    read = Row(
        row["id"],
        row["group"],
        row["unit"],
        number(row["measured"]),
        number(row["predicted"]),
        reason=row["reason"],
        note=row["note"],
    )
    return read if not row["gpus"] else _result(row, read)


def _result(row: Mapping[str, str], read: Row) -> RankingResult:
    shares = (part.rpartition("=") for part in row["parts"].split())
    return RankingResult(
        read.id,
        read.group,
        read.unit,
        read.measured,
        read.predicted,
        reason=read.reason,
        table=row["table"],
        system=row["system"],
        gpu=row["gpu"],
        gpus=int(row["gpus"]),
        framework=row["framework"],
        model=row["model"],
        batch=int(row["batch"]),
        precision=row["precision"],
        accelerator=row["accelerator"],
        held_out=row["held_out"] == "True",
        basis=row["basis"],
        parts={name: float(share) for name, _, share in shares},
    )


PAGE = ValidationPage("ranking", lambda rows: RankingReport("", rows, plot_ranking), _row)


if __name__ == "__main__":
    PAGE.write()
