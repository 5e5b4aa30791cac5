"""Outputs are documented from one table."""

from __future__ import annotations

from pathlib import Path

import pytest

import synthetic_result
from clustersim.results import columns
from clustersim.results.outputs_page import markdown


def test_the_page_of_outputs_is_fresh(root: Path) -> None:
    page = root / "docs" / "outputs.md"
    command = "python -m clustersim.results.outputs_page > docs/outputs.md"
    assert page.read_text() == markdown(), command


@pytest.mark.parametrize("name", ["pretrain", "chat"])
def test_every_metric_and_column_of_a_workload_is_documented(name: str) -> None:
    outcome = synthetic_result.result().outcome(name)
    known = columns.documented_metrics(outcome.kind)
    assert {metric.partition(".")[0] for metric in outcome.metrics} <= known.keys()
    tables = columns.documented_tables(outcome.kind)
    for table, data in outcome.tables.items():
        assert set(data) <= {column.name for column in tables[table]}


def test_every_metric_and_column_of_the_fabric_is_documented() -> None:
    fabric = synthetic_result.fabric()
    assert {metric.partition(".")[0] for metric in fabric.metrics()} == columns.documented_metrics(
        "fabric"
    ).keys()
    tables = {
        "links": fabric.columns(),
        "sharing": fabric.sharing_columns(),
        "rates": synthetic_result.rates().columns(),
    }
    documented = columns.documented_tables("fabric")
    assert tables.keys() == documented.keys()
    for table, data in tables.items():
        assert list(data) == [column.name for column in documented[table]]


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("stall_s.p99", "s"),
        ("read_bytes", "B"),
        ("read_bytes_per_s", "B/s"),
        ("jobs_per_s", "1/s"),
        ("depth", "1"),
    ],
)
def test_a_metric_of_an_unknown_kind_gets_its_unit_from_its_suffix(metric: str, unit: str) -> None:
    info = columns.metric_info("background-traffic", metric)
    assert (info.unit, info.better) == (unit, "neither")


def test_directions_of_the_headline_metrics_are_known() -> None:
    assert columns.metric_info("inference", "ttft_s.p99").better == "lower"
    assert columns.metric_info("inference", "slo_attainment").better == "higher"
    assert columns.metric_info("training", "samples_per_s").better == "higher"
