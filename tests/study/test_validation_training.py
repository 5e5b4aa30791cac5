"""`validate training`: what rows are understood as, what is refused, and what the report says."""

from __future__ import annotations

import csv
import io
import json
import runpy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clustersim.catalog.hardware import Hardware
from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError
from clustersim.spec.training import TrainingSpec
from clustersim.study.validation.training.cluster import hardware_of
from clustersim.study.validation.training.frameworks import FRAMEWORKS, framework_of
from clustersim.study.validation.training.jobs import candidates
from clustersim.study.validation.training.measured import iteration_time, megatron_flops
from clustersim.study.validation.training.model import complete, model_of
from clustersim.study.validation.training.prediction import Outcome, predict_row
from clustersim.study.validation.training.report import TrainingReport
from clustersim.study.validation.training.result import TrainingResult
from clustersim.study.validation.training.row import TrainingRow, read_row
from clustersim.study.validation.training.validation import TRAINING, predict_rows

GIB = 2.0**30
A100 = 312e12
SHIPPED = Path(__file__).parents[2] / "src/clustersim/study/validation/data/training.csv"
SC21 = {
    "row_id": "one",
    "table": "Megatron-SC21-T1",
    "system": "Selene",
    "gpu": "A100-SXM4-80GB",
    "gpu_count": "1536",
    "gpus_per_node": "8",
    "scale_out": "8x HDR200 IB per node, fat-tree",
    "framework": "Megatron-LM (PTD-P, interleaved 1F1B)",
    "model": "GPT-145.6B",
    "params_b": "145.6",
    "layers": "80",
    "hidden": "12288",
    "heads": "96",
    "vocab": "51200",
    "seq_len": "2048",
    "dtype": "fp16",
    "tp": "8",
    "pp": "8",
    "micro_batch": "",
    "global_batch": "2304",
    "recompute": "full",
    "iter_time_s": "",
    "tflops_per_gpu": "148",
    "tflops_kind": "hardware FLOPs incl. full recompute",
}
"""Narayanan et al., SC21 (arXiv:2104.04473), table 1: 145.6 billion parameters on 1,536 A100."""


def row(**changes: str) -> TrainingRow:
    """A row of the table with some cells changed."""
    return complete(read_row({**SC21, **changes}))


def jobs(**changes: str) -> list[TrainingSpec]:
    """The jobs that such a row may have been."""
    one = row(**changes)
    return list(candidates(one, model_of(one), framework_of(one.framework, year=2020)))


def fake(specs: Sequence[TrainingSpec], model: TransformerModel, hardware: Hardware) -> Outcome:
    """A simulator for which everything takes 20 s and 60 GiB."""
    return Outcome(specs[0], 20.0, 60 * GIB, 80 * GIB, {"compute_s": 20.0})


# ---- what is measured


def test_the_formula_of_the_paper_gives_back_the_time_that_it_states_for_gpt_3() -> None:
    """each iteration takes around 32 seconds" (Megatron-LM, README) at 138 TFLOP/s per GPU."""
    gpt3 = row(gpu_count="1024", model="GPT-3 175B", layers="96", params_b="174.6", pp="16",
               global_batch="1536", tflops_per_gpu="138")  # fmt: skip
    assert iteration_time(gpt3, model_of(gpt3), peak_flops=A100).seconds == pytest.approx(32, rel=0.01)


def test_time_comes_before_tokens_and_tokens_before_flops() -> None:
    everything = {"iter_time_s": "30", "tokens_per_s": "100000"}
    given = row(**everything)
    assert iteration_time(given, model_of(given), peak_flops=A100) == (30.0, "iteration time")
    given = row(**{**everything, "iter_time_s": ""})
    assert iteration_time(given, model_of(given), peak_flops=A100).seconds == pytest.approx(
        2304 * 2048 / 100000
    )
    given = row()
    assert "formula" in iteration_time(given, model_of(given), peak_flops=A100).basis


def test_a_forward_pass_without_recomputation_is_a_quarter_less_but_for_the_output_layer() -> None:
    given = row(vocab="1")
    model = replace(model_of(row()), vocab=1)
    ratio = megatron_flops(given, model, forwards=3) / megatron_flops(given, model, forwards=4)
    assert ratio == pytest.approx(0.75, rel=1e-6)


def test_flops_of_an_unknown_formula_are_no_time() -> None:
    given = row(framework="Something else", tflops_kind="not stated")
    with pytest.raises(InputError, match="FLOP/s of a known formula"):
        iteration_time(given, model_of(given), peak_flops=A100)


# ---- what model


@pytest.mark.parametrize(
    ("name", "found"),
    [("DeepSeekV3", "deepseek-v3"), ("Qwen3_30B_a3B", "qwen3-30b-a3b"), ("GPT OSS 120B", "gpt-oss-120b"),
     ("Llama-3.1-405B", "llama-3.1-405b"), ("GPT-3 175B", "gpt3-175b")],
)  # fmt: skip
def test_names_are_found_however_they_are_spelt(name: str, found: str) -> None:
    shape = dict.fromkeys(("layers", "hidden", "heads", "vocab", "params_b"), "")
    assert model_of(row(model=name, **shape)).name == found


def test_columns_come_before_the_catalogue() -> None:
    assert model_of(row(model="Llama-3-8B", hidden="4096", heads="32", layers="16", vocab="")).layers == 16


def test_embeddings_are_tied_or_not_as_the_number_of_parameters_says() -> None:
    shape = {"model": "mine", "layers": "24", "hidden": "2048", "heads": "16", "vocab": "131072"}
    assert model_of(row(**shape, params_b="1.48")).tied_embeddings
    assert not model_of(row(**shape, params_b="1.75")).tied_embeddings


def test_a_shape_that_contradicts_the_number_of_parameters_is_refused() -> None:
    with pytest.raises(InputError, match=r"146 billion parameters, published are 90"):
        model_of(row(model="mine", params_b="90"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "nobody's", "layers": ""}, "does not give layers"),
        ({"model": "", "hidden": ""}, "no model is named"),
        ({"model": "Nemotron_3_Nano"}, "Mamba"),
    ],
)
def test_a_model_without_a_shape_is_refused_with_the_reason(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        model_of(row(**changes))


def test_what_a_source_says_outside_of_its_table_is_added() -> None:
    bloom = row(
        table="BLOOM-prequel: GBS Variations", model="BLOOM candidate 181B", layers="", hidden="", heads=""
    )
    assert (bloom.layers, bloom.hidden, bloom.heads, bloom.dtype) == (72, 14336, 64, "fp16")


# ---- what job


def test_micro_batch_and_chunks_are_tried_where_they_are_not_printed() -> None:
    tried = {(spec.micro_batch, spec.parallelism.virtual_stages) for spec in jobs()}
    assert {size for size, _ in tried} == {1, 2, 4, 8}
    assert {chunks for _, chunks in tried} == {1, 2, 5}
    assert len({spec.micro_batch for spec in jobs(micro_batch="4")}) == 1


def test_chunks_are_tried_only_where_the_micro_batches_divide_by_the_stages() -> None:
    assert {spec.parallelism.virtual_stages for spec in jobs(global_batch="2328", micro_batch="1")} == {1}


def test_a_framework_decides_what_no_row_says() -> None:
    old, new = jobs()[0], jobs(framework="NeMo 24.07", dtype="fp8", recompute="none", micro_batch="1")[0]
    assert (old.attention, old.parallelism.zero, old.overlap.enabled) == ("unfused", 0, False)
    assert (new.attention, new.parallelism.zero, new.overlap.tensor) == ("fused", 1, True)
    assert not old.parallelism.divides_sequence
    assert new.parallelism.divides_sequence


@pytest.mark.parametrize(
    ("words", "name"),
    [("Megatron-LM v2.0 (before interleaving/scatter-gather)", "Megatron-LM before interleaving"),
     ("Megatron-LM", "Megatron-LM (2021)"), ("Megatron-DeepSpeed", "Megatron-DeepSpeed (2022)"),
     ("Megatron-Core r0.8.0 (overlap-grad-reduce, tp-comm-overlap)", "Megatron-Core"),
     ("Megatron-Bridge, NeMo container 25.09", "Megatron-Bridge"), ("NeMo 24.07", "NeMo"),
     ("llm-foundry (PyTorch FSDP, FlashAttention)", "llm-foundry"), ("torchtitan", "PyTorch FSDP"),
     ("DeepSpeed ZeRO-3", "DeepSpeed ZeRO"), ("something of our own", "others")],
)  # fmt: skip
def test_frameworks_are_told_apart(words: str, name: str) -> None:
    assert framework_of(words, year=2020).name == name


def test_a_framework_without_a_version_is_dated_by_the_gpu() -> None:
    assert framework_of("Megatron-LM", year=2022).name == "Megatron-Core"
    assert framework_of("llm-foundry", year=2022).attention == "flash-2"


def test_adapters_are_those_of_the_frameworks_recipes() -> None:
    (nemo, bridge) = (
        jobs(framework=words, task="LoRA")[0].lora for words in ("NeMo 24.07", "Megatron-Bridge")
    )
    assert nemo is not None
    assert bridge is not None
    assert (nemo.rank, nemo.targets) == (32, ("qkv",))
    assert "down" in bridge.targets
    assert jobs()[0].lora is None


def test_every_framework_has_a_source() -> None:
    assert all(len(rule.source) > 40 for rule in FRAMEWORKS)


def test_layers_that_do_not_divide_fill_all_stages_but_the_last_in_deepspeed() -> None:
    """78/12=6.5 - so the last stage has 1 block, while the rest have 7" (chronicles-prequel.md)."""
    shape = {
        "model": "BLOOM candidate",
        "layers": "78",
        "hidden": "13824",
        "params_b": "182",
        "vocab": "250000",
    }
    batch = {"gpu_count": "384", "tp": "4", "pp": "12", "micro_batch": "2", "global_batch": "2048"}
    spec = jobs(**shape, **batch, framework="Megatron-DeepSpeed", zero_stage="1")[0]
    assert spec.parallelism.layers_per_stage == (7,) * 11 + (1,)


def test_experts_of_megatron_bridge_are_whole_on_each_gpu() -> None:
    shape = dict.fromkeys(("layers", "hidden", "heads", "vocab", "params_b", "recompute"), "")
    layout = {"gpu_count": "256", "tp": "2", "pp": "8", "vp": "4", "ep": "32", "zero_stage": "0"}
    named = {"model": "Qwen3_235B_a22B", "framework": "Megatron-Bridge", "micro_batch": "1"}
    spec = jobs(**shape, **layout, **named, global_batch="2048")[0]
    found = spec.parallelism
    assert (found.expert, found.expert_tensor, found.virtual_stages, found.zero) == (32, 1, 4, 1)


def test_fsdp_keeps_parameters_between_the_micro_batches_of_a_pipeline() -> None:
    flat, staged = ({"framework": "PyTorch FSDP", "pp": stages} for stages in ("1", "8"))
    assert [jobs(**each)[0].parallelism.zero for each in (flat, staged)] == [3, 1]
    llama = jobs(framework="Llama 3 (FSDP, 4D)", zero_stage="fsdp")[0]
    assert llama.parallelism.zero == 2  # its gradients are divided, too


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tp": ""}, "does not give tensor"),
        ({"gpu_count": "1000"}, "do not divide by tensor"),
        ({"global_batch": "7"}, "does not divide by micro-batch"),
        ({"dtype": "NVFP4"}, "FP4 is not modelled"),
        ({"recompute": "sometimes"}, "'sometimes' is not known"),
        ({"gpu": "Abacus"}, "'Abacus' is not known"),
        ({"micro_batch": "many"}, "micro_batch 'many' is no whole number"),
    ],
)
def test_a_row_that_cannot_be_modelled_says_why(changes: dict[str, str], reason: str) -> None:
    found = predict_row({**SC21, **changes}, simulator=fake)
    assert reason in found.reason
    assert found.predicted is None


# ---- what cluster


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "192 x dgx-a100-80gb, 8 x infiniband-hdr"),
        ({"scale_out": "4x Omni-Path 100G per node"}, "192 x dgx-a100-80gb, 4 x omni-path-100"),
        ({"scale_out": "1600 Gb/s per node RoCE"}, "192 x dgx-a100-80gb, 8 x ethernet-200g"),
        ({"gpu": "H100-SXM5-80GB", "scale_out": ""}, "192 x dgx-h100, 8 x infiniband-ndr"),
        (
            {"gpu": "GB200", "gpus_per_node": "4", "gpu_count": "64", "scale_out": ""},
            "1 x gb200-nvl72 (64 GPUs)",
        ),
        (
            {"gpu": "GB200", "gpus_per_node": "4", "gpu_count": "256", "scale_out": "4x NDR400"},
            "4 x gb200-nvl72 (64 GPUs), 72 x infiniband-ndr",
        ),
    ],
)
def test_words_become_nodes_and_adapters(changes: dict[str, str], title: str) -> None:
    assert hardware_of(row(**changes)).title == title


def test_a_network_that_is_not_named_is_that_of_the_node_type_and_told() -> None:
    (said,) = hardware_of(row(scale_out="")).assumed
    assert "network between nodes not stated" in said


def test_tables_of_mlperf_results_are_read_too() -> None:
    cells = {
        "row_id": "M", "round": "v3.0", "system": "dgxh100_n64_nemo", "benchmark": "gpt3",
        "accelerator": "NVIDIA H100-SXM5-80GB", "n_accelerators": "512", "accel_per_node": "8",
        "host_networking": "Storage: 2x ConnectX-7 IB NDR 400Gb/s, Compute: 8x ConnectX-7 IB NDR 400Gb/s",
        "framework": "NVIDIA NeMo Framework", "seq_len": "2048", "global_batch": "2048", "tp": "4", "pp": "8",
        "cp": "", "dp": "16", "micro_batch": "1", "step_time_s": "12.107",
    }  # fmt: skip
    found = read_row(cells)
    assert (found.table, found.gpus, found.iteration_s) == ("MLPerf v3.0", 512, 12.107)
    assert model_of(found).name == "gpt3-175b"
    assert hardware_of(found).title == "64 x dgx-h100, 8 x infiniband-ndr"
    predicted = predict_row(cells, simulator=fake)
    assert predicted.framework == "NeMo in MLPerf"
    assert predicted.layout.endswith("fp8")


# ---- the report


def report(*rows: TrainingResult) -> TrainingReport:
    return TrainingReport("Training", rows)


def result(**changes: str) -> TrainingResult:
    return predict_row({**SC21, **changes}, simulator=fake)


def test_the_error_is_that_of_the_iteration_time() -> None:
    found = result(iter_time_s="25")
    assert found.error == pytest.approx(-0.2)
    assert found.layout == "tp 8 pp 8 dp 24 mb 1 recompute full fp16"


def test_runs_that_ran_have_to_fit_and_those_that_did_not_must_not() -> None:
    ran = result(iter_time_s="25", row_id="ran")
    too_big = replace(ran, id="big", memory_bytes=100 * GIB, observed_memory_bytes=70 * GIB)
    failed = result(iter_time_s="OOM", row_id="failed")
    lines = report(ran, too_big, failed).text().splitlines()
    (summary,) = [line for line in lines if line.startswith("memory:")]
    assert summary == "memory: 1 of 2 runs fit, 0 of 1 that ran out of memory do not"
    wrong = lines[lines.index(summary) + 1 :][:2]
    assert [line.split()[0] for line in wrong] == ["big", "failed"]
    assert "100 of 80 GiB, observed 70" in wrong[0]


def test_rows_that_ran_out_of_memory_are_no_error_of_time() -> None:
    assert report(result(iter_time_s="OOM")).timed == ()


def test_refused_rows_are_listed_by_reason_and_never_dropped() -> None:
    rows = [result(tp="", row_id=f"row{n}") for n in range(9)]
    lines = report(*rows).text().splitlines()
    assert lines[-2:] == [
        "not modelled: 9 rows",
        "  the row does not give tensor parallelism: row0, row1, row2, row3, row4, row5 and 3 more",
    ]
    assert len(report(*rows).records()) == 9


def test_goals_are_about_dense_models_on_a100_and_h100_and_about_experts() -> None:
    dense = result(iter_time_s="25")
    rows = report(dense, replace(dense, experts=True), replace(dense, gpu="B200-SXM-180GB")).goal_rows()
    assert {name: len(members) for name, members in rows.items()} == {
        "dense, A100 and H100": 1,
        "mixture of experts": 1,
    }


def test_json_and_csv_have_the_same_rows() -> None:
    found = report(result(iter_time_s="25"), result(tp=""))
    table = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [entry["id"] for entry in json.loads(found.to_json())] == [entry["id"] for entry in table]
    assert float(table[0]["error"]) == pytest.approx(-0.2)
    assert table[1]["reason"] == "the row does not give tensor parallelism"


def test_the_picture_has_a_colour_per_system_and_a_mark_for_experts() -> None:
    dense = result(iter_time_s="25")
    plotter = TRAINING.plotter
    assert plotter is not None
    figure = plotter([dense, replace(dense, experts=True), replace(dense, system="other")])
    (axes,) = figure.axes
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Selene (1)", "Selene, mixture of experts (1)", "other (1)"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


# ---- for real


def shipped() -> list[dict[str, str]]:
    """Rows of the shipped table."""
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_come_back_in_the_order_of_the_table_whatever_is_simulated_when() -> None:
    chosen = [each for each in shipped() if each["row_id"] in ("A0108", "A0503", "A0540", "A0047")][::-1]
    found = dict(predict_rows(chosen, jobs=1))
    assert [found[position].id for position in range(4)] == [each["row_id"] for each in chosen]
    equal = {each.id: each.predicted for each in found.values()}
    assert equal["A0503"] == equal["A0540"]
    assert equal["A0047"] is None


def test_parts_add_up_to_the_iteration() -> None:
    (chosen,) = [each for each in shipped() if each["row_id"] == "A0108"]
    found = predict_row(chosen)
    assert sum(found.parts.values()) == pytest.approx(found.predicted, rel=1e-6)


@pytest.fixture
def page(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What writes the page."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    return runpy.run_path(str(root / "tools" / "training_page.py"))["PAGE"]


def test_the_page_has_the_tables_that_its_rows_amount_to(page: Any) -> None:
    text = page.path.read_text(encoding="utf-8")
    assert page.with_tables(text) == text
    rows = TRAINING.shipped_rows()
    assert [row.id for row in page.saved_report().results] == [each["row_id"] for each in rows]


@pytest.mark.parametrize("name", ["A0358", "A0503", "A0108"])
def test_the_rows_of_the_page_are_what_is_predicted_now(page: Any, name: str) -> None:
    (saved,) = [row for row in page.saved_report().results if row.id == name]
    (chosen,) = [each for each in shipped() if each["row_id"] == name]
    found = predict_row(chosen)
    assert found.predicted == pytest.approx(saved.predicted, rel=0.03)
    assert found.layout == saved.layout


def test_the_shipped_table_has_every_row_of_the_collection(shared: Callable[[str], Path]) -> None:
    collected: dict[str, dict[str, str]] = {}
    for name in ("A_llm_training", "A2_mlperf_training"):
        with shared(f"truth/{name}.csv").open(encoding="utf-8", newline="") as file:
            collected |= {each["row_id"]: each for each in csv.DictReader(file)}
    own = {each["row_id"]: each for each in shipped()}
    wanted = {name for name, each in collected.items() if each.get("benchmark", "gpt3") == "gpt3"}
    assert wanted <= own.keys()
    assert all(read_row(own[name]) == read_row(collected[name]) for name in wanted)
