"""`validate collectives`: the errors it prints, and tables of a user's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.study.validation.collectives import COLLECTIVES, CollectiveRow
from clustersim.study.validation.framework import ValidationReport

MIB = 2**20
HEADER = "table_id,system,gpu,n_nodes,gpus_per_node,inter_link,collective,library,size_bytes,time_us\n"


@pytest.fixture(scope="module")
def report() -> ValidationReport:
    return COLLECTIVES.run()


def median_error(report: ValidationReport, table: str, *, large: bool) -> float:
    return float(
        np.median(
            [
                abs(row.error or 0.0)
                for row in report.modelled
                if isinstance(row, CollectiveRow) and row.table == table and ((row.x or 0) >= MIB) == large
            ]
        )
    )


@pytest.mark.parametrize("table", ["T10", "T06"])
def test_all_reduce_on_8_and_16_h100_is_within_10_percent_and_25_below_1_mib(
    report: ValidationReport, table: str
) -> None:
    assert median_error(report, table, large=True) < 0.10
    assert median_error(report, table, large=False) < 0.25


def test_the_shipped_table_is_modelled_but_for_rows_with_a_reason(report: ValidationReport) -> None:
    skipped = [row for row in report.rows if row.error is None]
    assert 0 < len(skipped) < 0.06 * len(report.rows)
    assert all(row.reason for row in skipped)
    assert np.median(report.errors()) < 0.08


def test_the_published_collection_is_modelled_or_refused_with_a_reason(shared: Callable[[str], Path]) -> None:
    rows = COLLECTIVES.run(shared("truth/C_collectives.csv")).rows
    assert len(rows) > 1500
    assert all((row.error is None) == bool(row.reason) for row in rows)


def test_a_table_of_ones_own_may_name_node_type_and_link_of_the_catalogue(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(
        HEADER
        + "mine,dgx-a100,A100,4,8,infiniband-hdr,all_reduce,NCCL,67108864,900\n"
        + "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,1,16,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,1,8,none,gossip,NCCL,67108864,400\n"
        + "mine,a box,GTX 970,1,2,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,0,8,none,all_gather,NCCL,67108864,400\n"
        + "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,many,400\n"
        + "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,0,400\n"
    )
    rows = json.loads(COLLECTIVES.run(table).to_json())
    assert [row["predicted"] is not None for row in rows] == [True] * 2 + [False] * 6
    assert rows[0]["note"] == "ring/simple"
    reasons = ("has 8 GPUs", "gossip", "GTX 970", "n_nodes is '0'", "not a number", "not positive")
    for row, words in zip(rows[2:], reasons, strict=True):
        assert words in row["reason"]


def test_a_table_without_a_column_is_refused_with_the_columns_name(tmp_path: Path) -> None:
    table = tmp_path / "broken.csv"
    row = "mine,dgx-a100,A100,1,8,none,all_gather,NCCL,1,1\n"
    table.write_text(HEADER.replace("size_bytes", "size") + row)
    with pytest.raises(InputError, match="'size_bytes' is missing"):
        COLLECTIVES.run(table)


def test_the_picture_has_a_panel_per_system_and_collective(report: ValidationReport, tmp_path: Path) -> None:
    from clustersim.study.validation.collectives_plot import plot_collectives

    rows = [row for row in report.modelled if isinstance(row, CollectiveRow)]
    figure = plot_collectives(rows)
    assert len(figure.axes) == 2 * len({(row.system, row.kind) for row in rows})
    figure.savefig(tmp_path / "collectives.png", dpi=30)
    assert (tmp_path / "collectives.png").stat().st_size > 10_000
