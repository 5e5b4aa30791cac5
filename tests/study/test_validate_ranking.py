"""`validate ranking`: what rows of training are understood as, what is refused, and what the report says."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import runpy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.ranking_frameworks import SHELF
from clustersim.errors import ClusterSimError, InputError
from clustersim.study.validation import registry
from clustersim.study.validation.framework import Row
from clustersim.study.validation.ranking import training_prediction
from clustersim.study.validation.ranking.plot import plot_ranking
from clustersim.study.validation.ranking.report import RankingReport
from clustersim.study.validation.ranking.result import RankingResult
from clustersim.study.validation.ranking.training_columns import is_training_table, renamed
from clustersim.study.validation.ranking.training_hardware import hardware_of
from clustersim.study.validation.ranking.training_job import framework_of, job_of, precision_of
from clustersim.study.validation.ranking.training_model import model_of, optimizers_of
from clustersim.study.validation.ranking.training_prediction import (
    predict_training_row,
    predict_training_rows,
)
from clustersim.study.validation.ranking.training_row import RankingTrainingRow, read_row
from clustersim.study.validation.ranking.validation import RANKING

DATA = Path(__file__).parents[2] / "src/clustersim/study/validation/data"
EOS = {
    "row_id": "one",
    "table": "MLPerf v3.1",
    "round": "v3.1",
    "system": "eos_ngc23.09_merlin_hugectr",
    "gpu": "NVIDIA H100-SXM5-80GB",
    "gpus": "8",
    "gpus_per_node": "8",
    "scale_up": "NVLINK Gen4 900 GB/s + NVSWITCH Gen3",
    "scale_out": "8x ConnectX-7 IB NDR 400Gb/s",
    "framework": "NVIDIA Merlin HugeCTR Release 23.09",
    "model": "dlrm_dcnv2",
    "precision": "",
    "global_batch": "55296",
    "optimizer": "",
    "iter_time_ms": "3.624",
}
"""NVIDIA's entry on one DGX H100 in MLPerf Training v3.1."""


def row_of(**changed: str) -> RankingTrainingRow:
    return read_row({**EOS, **changed})


def shipped(name: str = "ranking_training.csv") -> dict[str, dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return {row["row_id"]: row for row in csv.DictReader(file)}


# ---- columns and cells


def test_the_validation_is_known_by_its_name() -> None:
    assert registry()["ranking"] is RANKING


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("n_gpus", "gpus"),
        ("accelerator", "gpu"),
        ("n_accelerators", "gpus"),
        ("model_config", "model"),
        ("benchmark", "model"),
        ("throughput_samples_per_s", "samples_per_s"),
        ("train_throughput", "samples_per_s"),
        ("step_time_s", "step_time_s"),
        ("Batch size / GPU", "batch_per_gpu"),
        ("host_networking", "scale_out"),
    ],
)
def test_columns_of_other_tables_are_recognised(theirs: str, ours: str) -> None:
    cells = {name: text for name, text in EOS.items() if name != ours}
    assert renamed({**cells, theirs: "x"})[ours] == "x"


def test_a_table_is_of_training_if_it_has_a_batch_and_none_of_the_columns_of_services() -> None:
    assert is_training_table(list(EOS))
    assert not is_training_table([name for name in EOS if name != "global_batch"])
    assert not is_training_table([name for name in EOS if name != "framework"])


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="column 'framework' is missing"):
        renamed({name: text for name, text in EOS.items() if name != "framework"})


@pytest.mark.parametrize(("text", "samples"), [("64k", 65536), ("8K", 8192), ("1,048,576", 1048576)])
def test_batches_may_be_given_in_thousands(text: str, samples: int) -> None:
    assert row_of(global_batch="", batch_per_gpu=text).global_batch == 8 * samples


def test_samples_per_second_are_turned_into_the_time_of_a_step() -> None:
    row = row_of(iter_time_ms="", samples_per_s="16,500,000", global_batch="65536")
    assert row.step_s == pytest.approx(65536 / 16.5e6)
    assert row.basis == "samples/s"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gpus": ""}, "number of GPUs is not given"),
        ({"gpus": "eight"}, "gpus 'eight' is no number"),
        ({"gpus": "2.5"}, "gpus '2.5' is no whole number"),
        ({"iter_time_ms": "-1"}, "iter_time_ms '-1' is not a number above 0"),
        ({"iter_time_ms": "n/a"}, "neither the time of a step nor samples/s"),
        ({"global_batch": ""}, "neither the global batch nor that of a GPU"),
    ],
)
def test_a_cell_that_is_no_number_is_refused(changed: Mapping[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        row_of(**changed)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(EOS)), st.text(max_size=12), max_size=4))
def test_no_text_in_a_cell_makes_a_row_crash(changed: Mapping[str, str]) -> None:
    with contextlib.suppress(ClusterSimError):
        row = read_row({**EOS, **changed})
        assert job_of(row, hardware_of(row), framework_of(row)).gpus == row.gpus


# ---- models, optimizers, precision


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("dlrm_dcnv2", "dlrm-dcnv2-mlperf"),
        ("DLRM-DCNv2", "dlrm-dcnv2-mlperf"),
        ("DLRM-criteo1TB-onehot (82 GB tables)", "dlrm-criteo-1tb"),
        ("DLRM (PyTorch) large", "dlrm-nvidia-22b"),
        ("DLRM (PyTorch) small", "dlrm-nvidia-4b"),
        ("DLRM extra large", "dlrm-nvidia-113b"),
        ("DCNv2 small", "dcnv2-nvidia-4b"),
        ("NCF", "ncf-nvidia"),
        ("Wide & Deep", "wide-and-deep"),
        ("RM2", "deeprecsys-rm2"),
        ("MT-WnD", "mt-wnd"),
        ("dlrm-nvidia-4b", "dlrm-nvidia-4b"),
    ],
)
def test_models_are_recognised_by_what_tables_call_them(words: str, name: str) -> None:
    assert model_of(words).name == name


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(InputError, match=r"model 'resnet-50' is not known"):
        model_of("resnet-50")


def test_benchmarks_have_optimizers_of_their_own_where_a_row_says_nothing() -> None:
    assert optimizers_of("", model_of("dlrm_dcnv2")) == ("adagrad", "adagrad")
    assert optimizers_of("", model_of("NCF")) == ("adam", "adam")
    assert optimizers_of("SGD", model_of("NCF")) == ("sgd", "sgd")
    assert optimizers_of("", model_of("MT-WnD")) == ("adam", "rowwise-adagrad")
    assert optimizers_of("row-wise AdaGrad", model_of("NCF")) == ("adagrad", "rowwise-adagrad")
    assert optimizers_of("partial row-wise Adam", model_of("NCF")) == ("adam", "partial-rowwise-adam")
    with pytest.raises(InputError, match="optimizer 'lion' is not known"):
        optimizers_of("lion", model_of("NCF"))


@pytest.mark.parametrize(
    ("words", "accelerator", "precision"),
    [
        ("mixed (fp16/bf16 AMP)", "a100-sxm4-80gb", "fp16"),
        ("fp32/tf32", "a100-sxm4-40gb", "tf32"),
        ("tf32", "v100-sxm2-32gb", "fp32"),
        ("tf32/fp32 + fp16 comm compression", "a100-sxm4-40gb", "tf32"),
        ("bf16", "v100-sxm2-32gb", "fp16"),
        ("fp32", "h100-sxm5-80gb", "fp32"),
        ("", "h100-sxm5-80gb", "fp16"),
    ],
)
def test_precision_is_that_of_products_on_the_device(words: str, accelerator: str, precision: str) -> None:
    found = precision_of(words, accelerator=catalog.accelerator(accelerator), default="fp16")
    assert found == precision


# ---- frameworks and hardware


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "hugectr"),
        ({"framework": "NGC MXNet 23.04 , NGC PyTorch 23.09"}, "hugectr"),
        ({"framework": "TorchRec", "table": "TorchRec", "round": ""}, "torchrec"),
        ({"framework": "TF2 + SOK", "table": "HugeCTR-SOK-DLRM", "round": ""}, "tf2-sok"),
        (
            {"framework": "TF2 + SOK", "table": "HugeCTR-SOK-DLRM-custom-interact", "round": ""},
            "tf2-sok-custom-interaction",
        ),
        (
            {"framework": "NVIDIA DeepLearningExamples", "table": "DLE", "round": "", "model": "NCF"},
            "deeplearningexamples-ncf",
        ),
        (
            {"framework": "NVIDIA DeepLearningExamples", "table": "DLE", "round": "", "model": "DLRM small"},
            "deeplearningexamples-dlrm",
        ),
        ({"framework": "PyTorch", "table": "runs", "round": ""}, "pytorch"),
    ],
)
def test_frameworks_are_recognised_by_what_tables_call_them(changed: Mapping[str, str], name: str) -> None:
    assert framework_of(row_of(**changed)).name == name


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(InputError, match=r"framework 'PaddleRec' is not known"):
        framework_of(row_of(framework="PaddleRec", table="runs", round=""))


@pytest.mark.parametrize("name", SHELF.names())
def test_hosts_that_launch_faster_take_less_for_everything(name: str) -> None:
    known = SHELF.get(name)
    slow, fast = known.on_host(20e-6), known.on_host(10e-6)
    for field in ("kernel_launch_s", "graph_launch_s", "step_s", "sample_s", "exchange_s", "table_s"):
        assert getattr(fast, field) == pytest.approx(getattr(slow, field) / 2)


@pytest.mark.parametrize(
    ("changed", "accelerator", "nodes"),
    [
        ({}, "h100-sxm5-80gb", 1),
        ({"gpus": "128"}, "h100-sxm5-80gb", 16),
        ({"gpu": "V100-16GB", "system": "NVIDIA DGX-1 (8x V100 16GB)", "scale_up": ""}, "v100-sxm2-16gb", 1),
        (
            {"gpu": "A100-80GB", "system": "NVIDIA DGX A100 (8x A100 80GB)", "scale_up": ""},
            "a100-sxm4-80gb",
            1,
        ),
        ({"gpu": "V100-32GB", "system": "NVIDIA DGX-2 (16x V100 32GB)", "scale_up": ""}, "v100-sxm3-32gb", 1),
        (
            {"gpu": "NVIDIA Blackwell GPU (GB200)", "system": "", "gpus": "64", "gpus_per_node": "4"},
            "gb200",
            1,
        ),
        ({"gpu": "H200", "system": "", "gpus": "16", "scale_out": "Infiniband"}, "h200-sxm-141gb", 2),
    ],
)
def test_hardware_is_what_the_words_of_a_row_say(
    changed: Mapping[str, str], accelerator: str, nodes: int
) -> None:
    hardware = hardware_of(row_of(**changed))
    assert (hardware.node.accelerator, hardware.nodes) == (accelerator, nodes)


def test_words_that_contradict_the_gpu_are_left_out_and_said() -> None:
    hardware = hardware_of(row_of(scale_up="NVLINK 3.0"))
    assert hardware.node.name == "dgx-h100"
    assert any("NVLINK 3.0" in said for said in hardware.assumed)


def test_pcie_servers_of_mlperf_copy_between_their_gpus_and_others_through_the_host() -> None:
    words = {"gpu": "NVIDIA L40S", "system": "G5500V7x8xL40S", "scale_up": ""}
    assert not hardware_of(row_of(**words)).is_staged
    assert hardware_of(row_of(**words, table="runs", round="")).is_staged


def test_a_bridge_joins_up_to_four_h200_nvl() -> None:
    words = {"gpu": "NVIDIA H200-NVL-141GB", "system": "", "scale_up": ""}
    four, eight = (hardware_of(row_of(**words, gpus=gpus, gpus_per_node=gpus)) for gpus in ("4", "8"))
    assert four.node.scale_up_layout == "mesh"
    assert any("bridge" in said for said in four.assumed)
    assert eight.node.scale_up is None


# ---- prediction


def test_one_dgx_h100_trains_dlrm_dcnv2_in_the_time_that_mlperf_has() -> None:
    found = predict_training_row(shipped()["M0192"])
    assert found.predicted == pytest.approx(found.measured, rel=0.15)
    assert sum(found.parts.values()) == pytest.approx(1.0, abs=1e-9)
    assert found.generation == "H100"


def test_a_framework_that_the_host_holds_back_is_booked_on_the_host() -> None:
    found = predict_training_row(shipped()["E001"])
    assert found.predicted == pytest.approx(found.measured, rel=0.15)
    assert found.parts["host"] > 0.5


def test_mixed_precision_is_faster_than_single() -> None:
    rows = shipped()
    single, mixed = predict_training_rows([rows["E070"], rows["E071"]])
    assert single.predicted is not None
    assert mixed.predicted is not None
    assert mixed.predicted < single.predicted / 2


def test_equal_jobs_are_simulated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    once = training_prediction.simulate

    def counted(*args: object) -> object:
        calls.append("one")
        return once(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(training_prediction, "simulate", counted)
    row = shipped()["E030"]
    first, second = predict_training_rows([row, {**row, "row_id": "again"}])
    assert first.predicted == second.predicted
    assert calls == ["one"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model": "resnet"}, "model 'resnet' is not known"),
        ({"gpu": "RTX 1060"}, "GPU 'RTX 1060' is not known"),
        ({"framework": "PaddleRec", "table": "runs", "round": ""}, "framework 'PaddleRec' is not known"),
        ({"gpu": "TPU v4"}, "tpu"),
        ({"global_batch": "7"}, "has no sample for each of 8 GPUs"),
        ({"global_batch": "55297"}, "do not divide over 8 GPUs"),
        ({"model": "dlrm-nvidia-113b", "gpus": "1"}, "fit|room|take"),
    ],
)
def test_a_row_that_cannot_be_modelled_says_why(changed: Mapping[str, str], reason: str) -> None:
    found = predict_training_row({**EOS, **changed})
    assert found.predicted is None
    assert reason in found.reason or any(word in found.reason for word in reason.split("|"))


def test_every_shipped_row_has_an_identity_and_a_source() -> None:
    for name in ("ranking_training.csv", "ranking_others.csv"):
        rows = shipped(name)
        assert len(rows) > 60
        assert all(row["source"].startswith("https://") for row in rows.values())
        assert all(row["how"] in ("seen", "memory") for row in rows.values())


# ---- tables, report, picture


def test_tables_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(EOS))
        writer.writeheader()
        writer.writerow(EOS)
    assert [row["phase"] for row in RANKING.read(table)] == ["training"]
    assert {row["phase"] for row in RANKING.read(DATA / "ranking_serving.csv")} == {"serving"}


def test_a_table_of_neither_kind_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "other.csv"
    table.write_text("row_id,gpu\n1,H100\n")
    with pytest.raises(InputError, match=r"other.csv: column 'gpus' is missing.*no table of services"):
        RANKING.read(table)


def result(identity: str, measured: float, predicted: float | None, **fields: object) -> RankingResult:
    known = RankingResult(identity, "training", "s", measured, predicted, framework="hugectr", gpus=8)
    return replace(known, accelerator="h100-sxm5-80gb", **fields)  # type: ignore[arg-type]


@pytest.fixture
def report() -> RankingReport:
    rows = (
        result("a", 1.0, 1.1, parts={"compute": 0.75, "network_bandwidth:x": 0.25}),
        result("b", 1.0, 0.7, parts={"compute": 0.25, "network_bandwidth:y": 0.75}),
        result("c", 2.0, 4.0, held_out=True),
        result("d", 2.0, None, reason="model 'x' is not known"),
        Row("e latency_p99", "MLPerf Server: latency_p99", "s", 1.0, 1.3),
        Row("f queries/s", "MLPerf Offline: queries/s", "1/s", 1.0, 0.9),
    )
    return RankingReport("Ranking", rows)


def test_the_report_keeps_training_held_out_systems_and_services_apart(report: RankingReport) -> None:
    text = report.text()
    assert "training step: mean 20.0% (goal 15%; 50% of 2 rows within it)" in text
    assert "serving latency p99: mean 30.0% (goal 20%; 0% of 1 rows within it)" in text
    assert "serving throughput: mean 10.0% (goal 20%; 100% of 1 rows within it)" in text
    assert "other systems, held out: hugectr, H100 (s)" in text
    assert "model 'x' is not known: d" in text


def test_shares_of_links_are_added_up_in_the_report(report: RankingReport) -> None:
    line = next(
        line for line in report.summary_lines() if line.startswith("hugectr, H100") and "50.0" in line
    )
    assert line.split()[-2:] == ["50.0", "50.0"]


def test_rows_are_written_as_csv_and_json_with_all_that_was_understood(report: RankingReport) -> None:
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["id"] for row in rows] == ["a", "b", "c", "d", "e latency_p99", "f queries/s"]
    assert rows[0]["parts"] == "compute=0.7500 network_bandwidth:x=0.2500"
    assert json.loads(report.to_json())[2]["held_out"] is True


def test_the_picture_has_a_panel_for_each_kind_of_figure(report: RankingReport) -> None:
    figure = plot_ranking(report.modelled)
    titles = [axes.get_title(loc="left").split(";")[0] for axes in figure.axes]
    assert titles == ["Steps of training", "Throughput of services", "Latencies of services"]


def test_the_page_has_the_tables_of_the_saved_rows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    page = runpy.run_path(str(root / "tools" / "ranking_page.py"))["PAGE"]
    text = page.path.read_text(encoding="utf-8")
    assert page.with_tables(text) == text
    assert [row.id for row in page.saved_report().training][:3] == ["E001", "E002", "E003"]
