"""The table of published throughputs is read as its columns say, and predicted as it was."""

from __future__ import annotations

import csv
import json
from importlib import resources

import numpy as np
import pytest

from clustersim.study.validation.data_parallel import (
    DATA_PARALLEL,
    NotModelledError,
    predict,
    read_measurement,
)


def shipped() -> dict[str, dict[str, str]]:
    path = resources.files("clustersim.study.validation") / "data" / DATA_PARALLEL.shipped
    with path.open(encoding="utf-8") as file:
        return {row["row_id"]: row for row in csv.DictReader(file)}


ROWS = shipped()


def error(row_id: str) -> float:
    measurement = read_measurement(ROWS[row_id])
    return predict(measurement) / measurement.samples_per_s - 1


def test_every_row_names_its_source():
    assert all(row["source"] and row["how"] in ("seen", "memory") for row in ROWS.values())


@pytest.mark.parametrize(
    ("row_id", "reason"),
    [
        ("B0001", "no throughput"),
        ("B0022", "no throughput"),
        ("B0149", "binned by length"),
    ],
)
def test_a_row_that_cannot_be_modelled_says_why(row_id, reason):
    with pytest.raises(NotModelledError, match=reason):
        read_measurement(ROWS[row_id])


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("gpu", "Z9000", "no node type"),
        ("model", "GNMT", "not in the catalogue"),
        ("batch_per_gpu", "", "no batch_per_gpu"),
        ("batch_per_gpu", "many", "no number"),
        ("n_gpus", "1.5", "whole number"),
        ("precision", "int4", "precision"),
        ("unit", "tok/s", "unit"),
    ],
)
def test_a_broken_cell_becomes_a_reason(column, value, reason):
    with pytest.raises(NotModelledError, match=reason):
        read_measurement(ROWS["B0162"] | {column: value})


def test_a_row_becomes_the_job_that_it_describes():
    cluster, job = read_measurement(ROWS["B0158"]).scenario()
    assert (cluster.topology.nodes, cluster.fabric.link) == (8, "infiniband-hdr")
    assert (job.gpus, job.micro_batch, job.global_batch) == (64, 256, 256 * 64 * 4)
    assert (job.sequence, job.precision, job.optimizer) == (128, "fp16", "lamb")


def test_a_batch_that_only_fits_divided_is_read_as_accumulated(tmp_path):
    row = ROWS["B0193"]
    assert row["batch_per_gpu"] == "256"
    table = tmp_path / "own.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerows([row, row | {"row_id": "total", "batch_per_gpu": "8192"}])
    report = DATA_PARALLEL.run(table)
    divided, total = report.rows
    assert total.predicted == divided.predicted
    assert "32 × 256" in total.note
    assert [row["id"] for row in json.loads(report.to_json())] == ["B0193", "total"]


def test_resnet_50_in_pytorch_is_predicted_within_a_fifth():
    errors = [error(row_id) for row_id in ("B0042", "B0043", "B0044", "B0045")]
    assert np.mean(np.abs(errors)) < 0.2


@pytest.mark.parametrize(
    ("one_node", "many", "tolerance"),
    [("B0152", "B0158", 0.03), ("B0152", "B0162", 0.04), ("B0153", "B0163", 0.04), ("B0200", "B0210", 0.10)],
)
def test_bert_large_scales_over_nodes_as_published(one_node, many, tolerance):
    few, more = read_measurement(ROWS[one_node]), read_measurement(ROWS[many])
    predicted = predict(more) / predict(few)
    # The framework's own speed cancels out.
    assert predicted / (more.samples_per_s / few.samples_per_s) == pytest.approx(1.0, abs=tolerance)
