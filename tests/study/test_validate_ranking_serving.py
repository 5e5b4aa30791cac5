"""Validation of ranking services: how published tables are read, and some of their rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.study.validation import framework
from clustersim.study.validation.ranking.mlperf import mlperf_rows
from clustersim.study.validation.ranking.serving import predict_serving_rows
from clustersim.study.validation.ranking.serving_row import METRICS, read_row
from clustersim.study.validation.ranking.serving_tables import is_serving_table, read_serving_table
from clustersim.study.validation.service_rows import by_metric

SHIPPED = Path(framework.__file__).parent / "data" / "ranking_serving.csv"
MLPERF = {
    "row_id": "M1",
    "round": "v4.1",
    "submitter": "NVIDIA",
    "system": "DGX-H100",
    "accelerator": "NVIDIA H100-SXM-80GB",
    "n_accelerators": "8",
    "framework": "TensorRT 10.2.0, CUDA 12.4",
    "benchmark": "dlrm-v2-99",
    "scenario": "Offline",
    "samples_per_s": "595658",
    "lat_p50_ms": "353802.9",
    "lat_p90_ms": "633545.7",
    "lat_p99_ms": "696465.8",
    "target_qps": "640000",
}
SERVER = {
    **MLPERF,
    "row_id": "M2",
    "scenario": "Server",
    "samples_per_s": "510155.11",
    "lat_p50_ms": "8.2268",
    "lat_p90_ms": "9.7428",
    "lat_p99_ms": "10.8113",
    "target_qps": "510000",
}
TRITON = {
    "row_id": "T1",
    "gpu": "NVIDIA DGX A100 (1x A100 80GB)",
    "model": "DLRM",
    "model_size": "4B parameters",
    "backend": "TensorFlow + NVIDIA TensorRT",
    "precision": "FP16",
    "batch": "4096",
    "concurrency": "1",
    "inferences_per_s": "2890000.0",
    "p50_us": "1393",
    "p90_us": "1444",
    "p99_us": "1641",
    "avg_us": "1410",
}


def table(path: Path, *rows: Mapping[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def errors(*rows: Mapping[str, str]) -> dict[str, float]:
    """Relative errors by figure of rows in our columns."""
    figures = [each for row in rows for each in by_metric(dict(row), METRICS)]
    found = dict(predict_serving_rows(figures, jobs=1))
    assert all(row.error is not None for row in found.values()), [row.reason for row in found.values()]
    return {row.id: row.error or 0.0 for row in found.values()}


def test_offline_throughput_of_eight_h100_is_within_20_percent_at_both_accuracies() -> None:
    precise = {**MLPERF, "row_id": "M3", "benchmark": "dlrm-v2-99.9", "samples_per_s": "361613"}
    found = errors(*mlperf_rows([MLPERF, precise]))
    assert set(found) == {"M1 queries/s", "M3 queries/s"}
    assert max(map(abs, found.values())) < 0.20


def test_server_latencies_at_the_published_load_are_within_30_percent() -> None:
    found = errors(mlperf_rows([MLPERF, SERVER])[1])
    assert set(found) == {"M2 latency_p50", "M2 latency_p90", "M2 latency_p99"}
    assert max(map(abs, found.values())) < 0.30


def test_a_triton_client_is_answered_within_20_percent_of_the_published_time(tmp_path: Path) -> None:
    hps = {**TRITON, "row_id": "T2", "model_size": "22B parameters", "backend": "NVDIA Merlin HPS + TensorRT"}
    hps |= {"inferences_per_s": "2620000.0", "p50_us": "1533", "p90_us": "1568", "p99_us": "1743"}
    found = errors(*read_serving_table(table(tmp_path / "triton.csv", TRITON, {**hps, "avg_us": "1556"})))
    assert max(map(abs, found.values())) < 0.20


def test_a_server_run_is_driven_at_its_share_of_offline_where_that_is_known() -> None:
    paired, alone = mlperf_rows([MLPERF, SERVER])[1], mlperf_rows([SERVER])[0]
    assert float(paired["saturation"]) == pytest.approx(510000 / 595658, rel=1e-5)
    assert alone["rate_per_s"] == "510000"
    other = mlperf_rows([{**MLPERF, "system": "another"}, SERVER])[1]
    assert "saturation" not in other


def test_99_percent_is_int8_and_99_9_keeps_the_interaction_in_16_bits() -> None:
    (row,) = mlperf_rows([MLPERF])
    assert (row["precision"], row["interaction"], row["embeddings"]) == ("int8", "", "int8")
    (row,) = mlperf_rows([{**MLPERF, "benchmark": "dlrm-v2-99.9"}])
    assert (row["precision"], row["interaction"], row["embeddings"]) == ("int8", "fp16", "int8")
    (row,) = mlperf_rows([{**MLPERF, "round": "v3.1"}])
    assert (row["precision"], row["embeddings"]) == ("fp16", "fp16")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benchmark": "resnet50"}, "no ranking benchmark"),
        ({"scenario": "SingleStream"}, "SingleStream"),
        ({"accelerator": "N/A"}, "no accelerator"),
        ({"framework": "PyTorch 2.1 on CPU"}, "PyTorch 2.1"),
    ],
)
def test_a_row_that_is_not_modelled_says_why(change: dict[str, str], words: str) -> None:
    (row,) = mlperf_rows([{**MLPERF, **change}])
    assert words in row["refused"]
    (_, predicted), *_ = predict_serving_rows(by_metric(row, METRICS), jobs=1)
    assert words in (predicted.reason or "")


def test_a_device_that_is_not_known_gives_a_reason_and_no_error() -> None:
    (row,) = mlperf_rows([{**MLPERF, "accelerator": "Acme Turbo 9000"}])
    (_, predicted), *_ = predict_serving_rows(by_metric(row, METRICS), jobs=1)
    assert predicted.predicted is None
    assert "Acme Turbo 9000" in (predicted.reason or "")


@pytest.mark.parametrize("column", ["model_size", "backend"])
def test_a_triton_row_of_an_unknown_model_or_backend_says_so(tmp_path: Path, column: str) -> None:
    (row,) = read_serving_table(table(tmp_path / "triton.csv", {**TRITON, column: "something else"}))
    assert "something else" in row["refused"]


def test_twice_the_gpus_serve_twice_the_queries() -> None:
    half = {**MLPERF, "row_id": "M4", "n_accelerators": "4", "samples_per_s": "1"}
    whole = {**MLPERF, "row_id": "M5", "samples_per_s": "1"}
    found = errors(*mlperf_rows([half, whole]))
    assert (found["M5 queries/s"] + 1) / (found["M4 queries/s"] + 1) == pytest.approx(2.0)


def test_tables_are_told_by_their_columns() -> None:
    assert is_serving_table(MLPERF)
    assert is_serving_table(TRITON)
    assert not is_serving_table(["gpu", "model", "iter_time_ms"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": "", "candidates": ""}, "how large queries are"),
        ({"concurrency": ""}, "how queries come; none is given"),
        ({"rate_per_s": "5"}, "concurrency and rate_per_s"),
        ({"samples": "many"}, "samples is 'many'"),
        ({"gpus": "0"}, "gpus is '0'"),
        ({"engine": ""}, "engine is empty"),
        ({"inputs": "cloud"}, "inputs is 'cloud'"),
        ({"latency_s": ""}, "nothing is measured"),
    ],
)
def test_a_broken_row_of_our_own_columns_says_what_is_expected(change: dict[str, str], words: str) -> None:
    row = {"row_id": "O1", "table": "own", "gpu": "A100", "gpus": "1", "model": "dlrm-criteo-1tb"}
    row |= {"engine": "tensorrt", "samples": "64", "concurrency": "1", "latency_s": "0.001"}
    with pytest.raises(InputError, match=words):
        read_row(row | change)


def test_shipped_rows_are_those_of_the_published_tables(shared: Callable[[str], Path]) -> None:
    shipped = {row["row_id"]: row for row in framework.read_table(SHIPPED, ())}
    published = [
        row
        for name in ("E3_mlperf_dlrm_inference", "E4_ranking_inference_triton")
        for row in read_serving_table(shared(f"truth/{name}.csv"))
    ]
    assert len(shipped) == len(published)
    for row in published:
        assert {name: text for name, text in shipped[row["row_id"]].items() if text} == {
            name: text for name, text in row.items() if text
        }
