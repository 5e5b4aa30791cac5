"""Published serving measurements: read from three kinds of tables, predicted, refused with the reason."""

from __future__ import annotations

import csv
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.study.validation import registry
from clustersim.study.validation.inference.row import METRICS, ServingRow, read_row
from clustersim.study.validation.inference.service import service_of, simulate
from clustersim.study.validation.inference.tables import own_columns, read_table
from clustersim.study.validation.inference.validation import predict_rows

ROOT = Path(__file__).parents[2]
SMALL = {
    "row_id": "a",
    "table": "mine",
    "gpu": "A100-SXM4-80GB",
    "gpus": "1",
    "model": "llama-2-7b",
    "tensor": "1",
    "prompt": "128",
    "output": "8",
    "batch": "2",
    "first_tokens_s": "0.1",
    "tpot_s": "0.02",
}


def row(**changes: str) -> ServingRow:
    return read_row({**SMALL, **changes})


def by_id(rows):
    return {each.id: each for _, each in predict_rows(rows, jobs=1)}


def test_every_shipped_row_is_a_service_with_a_source():
    rows = read_table(ROOT / "src/clustersim/study/validation/data/inference.csv")
    assert len(rows) == 264
    for each in rows:
        assert each["refused"] or service_of(read_row(each)).model
        assert each["source"].startswith(("Mutinifni/splitwise-sim", "https://github.com/mlcommons/"))
        assert each["how"] == "seen"
    assert {each["row_id"][0] for each in rows if each["refused"]} == {"S", "I"}


def test_tables_of_splitwise_and_mlperf_become_rows(tmp_path):
    splitwise, mlperf = tmp_path / "s.csv", tmp_path / "m.csv"
    splitwise.write_text(
        "model,hardware,tensor_parallel,prompt_size,batch_size,token_size,prompt_time_ms,token_time_ms,framework\n"
        "llama2-70b,h100-80gb,4,512,8,128,442.2,31.4,vLLM (early 2023)\n"
    )
    mlperf.write_text(
        "row_id,benchmark,scenario,accelerator,n_accelerators,framework,tokens_per_s,ttft_mean_ms,target_qps\n"
        "A,llama2-70b-99,Server,NVIDIA H100-SXM-80GB,8,TensorRT 10,21000,276,75\n"
        "B,llama2-70b-99,Offline,NVIDIA H100-SXM-80GB,8,TensorRT 10,24000,,80\n"
        "C,gptj-99,Offline,NVIDIA H100-SXM-80GB,8,TensorRT 10,3000,,80\n"
    )
    (first,) = map(read_row, read_table(splitwise))
    assert (first.tensor, first.prompt, first.batch, first.output) == (4, 512, 8, 128)
    assert first.engine == "vllm-2023-eager"
    assert first.measured == {"first_tokens_s": pytest.approx(0.4422), "tpot_s": pytest.approx(0.0314)}
    server, offline, beams = read_table(mlperf)
    assert (read_row(server).rate_per_s, read_row(server).tensor, read_row(server).max_batch) == (
        75.0,
        2,
        1024,
    )
    assert (read_row(offline).batch, read_row(offline).max_batch) == (24576, 896)
    assert read_row(server).measured["ttft_s"] == pytest.approx(0.276)
    (refused,) = by_id([{**beams, "metric": ""}]).values()
    assert "beam search" in refused.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpus": "1.5"}, "whole number"),
        ({"tpot_s": "-1"}, "above 0"),
        ({"batch": ""}, "how requests come"),
        ({"rate_per_s": "3"}, "batch and rate_per_s is given"),
        ({"prompt": ""}, "lengths"),
        ({"first_tokens_s": "", "tpot_s": ""}, "nothing is measured"),
    ],
)
def test_a_row_that_says_too_little_or_nonsense_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        row(**changes)


def test_a_batch_is_predicted_per_figure_and_a_failure_is_told():
    rows = [{**SMALL, "metric": name} for name in ("first_tokens_s", "tpot_s")]
    rows += [{**SMALL, "row_id": "b", "model": "lama-2-7b", "metric": "tpot_s"}]
    rows += [{**SMALL, "row_id": "c", "gpus": "3", "tensor": "2", "metric": "tpot_s"}]
    found = by_id(rows)
    assert found["a first_tokens"].predicted == simulate(row())["first_tokens_s"]
    assert 0.005 < found["a tpot"].predicted < 0.05
    assert found["a tpot"].group == "mine: tpot"
    assert "Did you mean" in found["b tpot"].reason
    assert "3 GPUs do not hold replicas of 2" in found["c tpot"].reason


def test_a_batch_that_waits_for_blocks_is_no_batch():
    found = by_id(
        [{**SMALL, "memory_utilization": "0.18", "batch": "60", "prompt": "400", "metric": "tpot_s"}]
    )
    assert "do not fit into the KV cache at once" in found["a tpot"].reason


def test_replicas_beyond_the_simulated_ones_count_in_rates():
    served = {
        **SMALL,
        "batch": "",
        "rate_per_s": "2",
        "requests": "40",
        "output_tokens_per_s": "16",
        "max_batch": "8",
    }
    one = simulate(read_row(served))["output_tokens_per_s"]
    eight = simulate(replace(read_row(served), gpus=8, rate_per_s=16.0, requests=320))["output_tokens_per_s"]
    assert eight == pytest.approx(8 * one, rel=0.2)


def test_a_tensor_group_that_is_not_said_is_the_smallest_that_fits():
    big = {**SMALL, "model": "llama-2-70b", "gpus": "8", "tensor": "", "batch": "4"}
    assert simulate(read_row(big)) == simulate(read_row({**big, "tensor": "2"}))


def test_all_columns_of_a_row_are_known():
    assert set(METRICS) < set(own_columns())
    assert registry()["inference"].columns == ("row_id", "table", "gpu", "gpus", "model")


def test_the_page_has_the_tables_of_its_rows(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    page = runpy.run_path(str(ROOT / "tools" / "inference_page.py"))["PAGE"]
    text = page.path.read_text(encoding="utf-8")
    assert page.with_tables(text) == text
    with page.rows.open(newline="") as file:
        assert len(list(csv.DictReader(file))) > 400
