"""`validate kernels`: what it prints, classes of shapes, folders of tables, the fit behind the curves."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clustersim.cost.efficiency import curve_set
from clustersim.cost.operators import (
    backward_attention,
    decode_attention,
    elementwise,
    gemm,
    prefill_attention,
)
from clustersim.errors import InputError
from clustersim.study.validation.framework import ValidationReport
from clustersim.study.validation.kernels.rows import COLUMNS, KernelRow, kernel_class
from clustersim.study.validation.kernels.validation import KERNELS

GEMM_TABLE = """\
system,framework,dtype,m,n,k,latency_us
a100_sxm,vllm 0.14.0,bf16,4096,8192,8192,1978.115
h100_sxm,vllm 0.19.0,fp8,4096,8192,8192,450.621
a100_sxm,vllm 0.14.0,fp4,4096,8192,8192,450.621
"""
EXPERT_TABLE = """\
system,dtype,hidden,inter,topk,experts,tp,ep,routing,tokens,latency_us
h100_sxm,bf16,4096,14336,2,8,1,1,balanced,4096,5800
h100_sxm,bf16,4096,14336,2,8,1,8,balanced,4096,800
h100_sxm,fp8_block,4096,14336,2,8,1,1,balanced,4096,2800
"""


@pytest.fixture(scope="module")
def report() -> ValidationReport:
    return KERNELS.run()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "D5_gemm_times.csv").write_text(GEMM_TABLE, encoding="utf-8")
    (tmp_path / "D7_moe_layer_times.csv").write_text(EXPERT_TABLE, encoding="utf-8")
    return tmp_path


def median_error(report: ValidationReport, **wanted: str) -> float:
    rows = [row for row in report.modelled if isinstance(row, KernelRow)]
    errors = [
        abs(row.error or 0.0)
        for row in rows
        if all(getattr(row, key).startswith(value) for key, value in wanted.items())
    ]
    return float(np.median(errors))


@pytest.mark.parametrize(
    ("wanted", "below"),
    [
        ({"table": "AIConfigurator", "kernel": "large", "precision": "bf16"}, 0.08),
        ({"table": "AIConfigurator", "kernel": "wide", "precision": "bf16", "device": "b200"}, 0.08),
        ({"table": "AIConfigurator", "kernel": "thin", "precision": "bf16", "device": "h200"}, 0.08),
        ({"table": "FlashAttention-3", "kernel": "attention backward"}, 0.06),
        ({"table": "cuDNN", "kernel": "attention backward"}, 0.06),
        ({"table": "FlashAttention-4", "kernel": "attention"}, 0.09),
        ({"table": "Apex", "kernel": "fused_norm"}, 0.06),
        ({"table": "best of a sweep", "precision": "bf16"}, 0.07),
    ],
    ids=str,
)
def test_published_kernels_are_predicted_within(
    report: ValidationReport, wanted: dict[str, str], below: float
) -> None:
    assert median_error(report, **wanted) < below


def test_every_shipped_row_is_modelled_and_has_a_source(report: ValidationReport) -> None:
    assert len(report.modelled) == len(report.rows) > 150


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((16, 4096, 4096), "thin product"),
        ((4096, 1024, 4096), "tall product"),
        ((1024, 8192, 4096), "wide product"),
        ((4096, 4096, 4096), "large product"),
        ((512, 512, 512), "small product"),
    ],
)
def test_products_are_told_apart_by_their_shape(shape: tuple[int, int, int], name: str) -> None:
    m, n, k = shape
    assert kernel_class([gemm("g", m=m, n=n, k=k, precision="bf16")]) == name


def test_attention_is_told_apart_by_its_length_and_streams_by_their_kind() -> None:
    shape = {"heads": 8, "kv_heads": 8, "head_dim": 128, "precision": "bf16"}
    prefill = prefill_attention("a", queries=4096, **shape)
    assert kernel_class([prefill]) == "attention, to 4k"
    assert kernel_class([backward_attention("b", prefill)]) == "attention backward, to 4k"
    decode = decode_attention("d", batch=2, context_sum=20_000, **shape)
    assert kernel_class([decode]) == "decode attention, over 4k"
    assert kernel_class([elementwise("e", bytes_moved=8, precision="bf16")]) == "elementwise"


def test_a_folder_of_public_tables_is_read_and_what_cannot_be_modelled_has_its_reason(folder: Path) -> None:
    found = KERNELS.run(folder)
    assert [row.id for row in found.modelled] == [
        "D5_gemm_times.csv:2",
        "D5_gemm_times.csv:3",
        "D7_moe_layer_times.csv:2",
    ]
    assert all(abs(row.error or 0.0) < 0.1 for row in found.modelled)
    text = found.text()
    assert "a100-sxm4-80gb, AIConfigurator, bf16, large product" in text
    assert "experts are spread over GPUs" in text
    assert "no curve for products in fp8_block" in text
    assert "unknown precision 'fp4'" in text


def test_the_tables_beside_the_checkout_are_predicted_as_the_documentation_says(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("D6_attention_times.csv", "D7_moe_layer_times.csv"):
        (tmp_path / name).write_bytes(shared(f"truth/{name}").read_bytes())
    found = KERNELS.run(tmp_path)
    assert median_error(found, kernel="attention, over 4k") < 0.03
    assert median_error(found, table="AIConfigurator, balanced", device="h100") < 0.05
    assert median_error(found, table="AIConfigurator, skewed", device="h100") < 0.09


def test_compressed_profiles_give_a_row_for_each_operator(tmp_path: Path) -> None:
    header = (
        "device,source,n_head,n_kv_head,n_embd,n_expanded_embd,use_gated_mlp,num_tensor_parallel_workers,"
        "num_tokens,emb_ms,input_layernorm_ms,attn_pre_proj_ms,attn_rope_ms,attn_post_proj_ms,"
        "post_attention_layernorm_ms,mlp_up_proj_ms,mlp_act_ms,mlp_down_proj_ms,add_ms\n"
    )
    row = "a100,vidur,64,8,8192,28672,True,4,1024,0.02,0.02,0.2,0.03,0.15,0.02,1.1,0.05,0.5,\n"
    (tmp_path / "vidur_profiles").mkdir()
    with gzip.open(tmp_path / "vidur_profiles" / "linear_ops.csv.gz", "wt", encoding="utf-8") as file:
        file.write(header + row)
    kernels = [row.kernel for row in KERNELS.run(tmp_path).modelled if isinstance(row, KernelRow)]
    assert sorted(kernels) == sorted(
        ["activation"] * 2 + ["embedding"] + ["norm"] * 2 + ["large product"] + ["wide product"] * 3
    )


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has none of the tables D5_gemm_times\.csv"):
        KERNELS.run(tmp_path)


def test_a_broken_row_of_a_public_table_is_refused_with_its_line(folder: Path) -> None:
    (folder / "D5_gemm_times.csv").write_text(GEMM_TABLE.replace("1978.115", "fast"), encoding="utf-8")
    with pytest.raises(InputError, match=r"D5_gemm_times\.csv:2: cannot be read as a row"):
        KERNELS.run(folder)


def own_table(path: Path, **fields: str) -> Path:
    row = dict.fromkeys(COLUMNS, "") | {"table": "mine", "device": "h100", "precision": "bf16"} | fields
    path.write_text(",".join(COLUMNS) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    return path


def test_a_table_of_ones_own_may_give_times_or_rates(tmp_path: Path) -> None:
    sizes = {"kernel": "gemm", "m": "4096", "n": "4096", "k": "4096"}
    by_time = KERNELS.run(own_table(tmp_path / "a.csv", **sizes, time_us="200")).rows[0]
    by_rate = KERNELS.run(own_table(tmp_path / "b.csv", **sizes, tflops="687.194767")).rows[0]
    assert by_time.measured == pytest.approx(by_rate.measured, rel=1e-6)
    assert json.loads(KERNELS.run(tmp_path / "a.csv").to_json())[0]["predicted"] == by_time.predicted


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": "gem"}, r"row 2: there is no kernel 'gem'\. Did you mean 'gemm'"),
        ({"kernel": "gemm", "m": "0", "n": "1", "k": "1"}, r"row 2: m is '0', not a number above 0"),
        ({"kernel": "norm", "bytes": "1e6"}, r"row 2: tflops is '', not a number above 0"),
    ],
)
def test_a_row_of_ones_own_that_makes_no_sense_is_refused(
    tmp_path: Path, fields: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        KERNELS.run(own_table(tmp_path / "mine.csv", **fields))


def test_the_picture_has_a_panel_for_each_class_of_kernels(report: ValidationReport) -> None:
    assert report.plotter is not None
    figure = report.plotter(report.modelled)
    titles = {axes.get_title(loc="left") for axes in figure.axes} - {""}
    assert titles == {row.kernel.partition(",")[0] for row in report.modelled if isinstance(row, KernelRow)}


@pytest.fixture
def fitting(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that makes the catalogue's curves."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    spec = importlib.util.spec_from_file_location("fit_efficiency", root / "tools" / "fit_efficiency.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fit_efficiency", module)
    spec.loader.exec_module(module)
    return module


def test_the_fit_gives_the_curves_of_the_catalogue_again(fitting: ModuleType, folder: Path) -> None:
    known = curve_set("h100")
    tables = fitting.Tables(folder)
    again = fitting._fit_heads(tables, "h100-sxm5-80gb", known).backward_attention
    for field in ("efficiency", "prologue_keys", "softmax_width"):
        assert getattr(again, field) == pytest.approx(getattr(known.backward_attention, field), rel=2e-3)
