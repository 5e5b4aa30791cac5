"""`validate training`: tables as people write them: columns, cells, GPUs, networks and frameworks."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from clustersim import catalog
from clustersim.errors import InputError
from clustersim.study.validation.training.cluster import hardware_of, topology_of
from clustersim.study.validation.training.columns import NAMES, renamed
from clustersim.study.validation.training.fabric import Tiered
from clustersim.study.validation.training.frameworks import framework_of
from clustersim.study.validation.training.jobs import candidates
from clustersim.study.validation.training.measured import iteration_time
from clustersim.study.validation.training.model import model_of
from clustersim.study.validation.training.row import TrainingRow, read_row
from clustersim.study.validation.training.torus import Slice, over_all_links, slice_of
from clustersim.study.validation.training.words import (
    Recompute,
    Sharding,
    precision_of,
    recompute_of,
    sharding_of,
)
from clustersim.workloads.training.predict import predict

TITAN = {
    "row_id": "one", "gpu": "H100-SXM5-80GB", "gpu_count": "64", "model": "Llama-3.1-8B", "seq_len": "8192",
    "framework": "torchtitan (FSDP2)", "dtype": "bf16", "tp": "1", "pp": "1", "zero_stage": "fsdp",
    "micro_batch": "2", "global_batch": "128", "recompute": "full", "scale_out": "8x NDR400 IB",
    "tokens_per_s_per_gpu": "6500",
}  # fmt: skip
"""A run of PyTorch FSDP in the words of its table."""


def row(**changes: str) -> TrainingRow:
    """That run with some cells changed."""
    return read_row({**TITAN, **changes})


# ---- columns


def test_columns_go_by_the_names_that_other_tables_give_them() -> None:
    theirs = {"id": "one", "GPUs": "64", "Accelerator": "H100", "model_name": "Llama-3.1-8B", "GBS": "128",
              "MBS": "2", "Sequence Length": "8192", "TP": "1", "PP": "1", "VPP": "", "Precision": "bf16",
              "Tokens/s/GPU": "6500", "sharding": "fsdp", "interconnect": "8x NDR400 IB"}  # fmt: skip
    ours = read_row(theirs)
    assert (ours.gpus, ours.global_batch, ours.micro_batch, ours.sequence) == (64, 128, 2, 8192)
    assert (ours.gpu, ours.network, ours.zero, ours.dtype) == ("H100", "8x NDR400 IB", "fsdp", "bf16")
    assert ours.tokens_per_s == 64 * 6500


def test_no_name_means_two_columns() -> None:
    for name, others in NAMES.items():
        assert renamed({**dict.fromkeys(NAMES, ""), name: "x"})[name] == "x"
        assert name not in [other for more in NAMES.values() if more != others for other in more.split("|")]


def test_a_column_that_is_about_something_else_is_left_alone() -> None:
    assert row(optimizer="adam", nodes="8") == row()


def test_two_columns_of_one_meaning_are_refused() -> None:
    cells = {**TITAN, "mbs": "2", "local_batch": "2"}
    del cells["micro_batch"]
    with pytest.raises(InputError, match="'mbs' and 'local_batch' both mean 'micro_batch'"):
        read_row(cells)


def test_a_missing_column_is_told_with_the_one_that_was_meant() -> None:
    cells = {**TITAN, "gpu_cuont": "64"}
    del cells["gpu_count"]
    with pytest.raises(InputError, match=r"'gpu_count' is missing\. Did you mean 'gpu_cuont'"):
        read_row(cells)


def test_a_table_without_names_of_tables_is_no_mlperf_result() -> None:
    assert row().table == "runs"
    assert row(round="v4.0").table == "MLPerf v4.0"


# ---- numbers


def test_numbers_may_have_separators_and_their_unit() -> None:
    found = row(gpu_count="1,536", params_b="405B", mfu_pct="43 %", seq_len="131_072", vp="n/a")
    assert (found.gpus, found.parameters, found.sequence) == (1536, 405e9, 131072)
    assert found.model_utilisation == pytest.approx(0.43)
    assert found.virtual_stages is None


@pytest.mark.parametrize("text", ["8k", "1.5", "-1", "many"])
def test_a_number_that_may_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="seq_len"):
        row(seq_len=text)


# ---- words


@pytest.mark.parametrize(
    ("words", "precision"),
    [("bf16", "bf16"), ("amp_bf16", "bf16"), ("BF16-mixed", "bf16"), ("bfloat16", "bf16"), ("FP8-MX", "fp8"),
     ("MXFP8", "fp8"), ("float8 tensorwise", "fp8"), ("fp8_e4m3", "fp8"), ("fp16", "fp16"),
     ("mixed precision", "fp16"), ("TF32", "tf32"), ("fp32", "fp32")],
)  # fmt: skip
def test_precisions_are_understood(words: str, precision: str) -> None:
    assert precision_of(words) == precision


def test_a_precision_that_is_not_known_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"dtype 'bff16' is not known; known: fp8, bf16.*Did you mean 'bf16'"
    ):
        precision_of("bff16")


@pytest.mark.parametrize(
    ("words", "sharding"),
    [("fsdp", Sharding(3)), ("FSDP2", Sharding(3)), ("FULL_SHARD", Sharding(3)), ("ZeRO-3", Sharding(3)),
     ("SHARD_GRAD_OP", Sharding(2)), ("stage 2", Sharding(2)), ("zero1", Sharding(1)), ("1.0", Sharding(1)),
     ("distributed optimizer", Sharding(1)), ("0", Sharding(0)), ("none", Sharding(0)), ("DDP", Sharding(0)),
     ("hsdp", Sharding(3, "node")), ("1 in groups of 8", Sharding(1, 8)), ("", None)],
)  # fmt: skip
def test_what_is_divided_is_understood(words: str, sharding: Sharding | None) -> None:
    assert sharding_of(words) == sharding


def test_hybrid_sharding_divides_within_a_node() -> None:
    found = next(candidates(row(zero_stage="hsdp"), model_of(row()), framework_of("fsdp", year=2022)))
    assert (found.parallelism.zero, found.parallelism.shard) == (3, 8)


@pytest.mark.parametrize(
    ("words", "policy"),
    [("none", Recompute("none")), ("False", Recompute("none")), ("selective", Recompute("selective")),
     ("full", Recompute("full")), ("activation checkpointing", Recompute("full")),
     ("full 1/3", Recompute("full", Fraction(1, 3))), ("16 of 32 layers", Recompute("full", Fraction(1, 2))),
     ("selective layers (every other)", Recompute("full", Fraction(1, 2))), ("", None)],
)  # fmt: skip
def test_recomputation_is_understood(words: str, policy: Recompute | None) -> None:
    assert recompute_of(words) == policy


def test_a_share_of_the_layers_is_that_of_each_stage() -> None:
    half = row(recompute="full 1/2", pp="2", gpu_count="64")
    found = next(candidates(half, model_of(half), framework_of("fsdp", year=2022)))
    assert (found.recompute, found.recompute_layers) == ("full", 8)


def test_where_all_is_divided_among_replicas_what_is_not_given_is_one() -> None:
    found = next(candidates(row(tp="", pp=""), model_of(row()), framework_of("fsdp", year=2022)))
    assert (found.parallelism.tensor, found.parallelism.pipeline, found.parallelism.data) == (1, 1, 64)


def test_replicas_that_contradict_the_layout_are_refused() -> None:
    with pytest.raises(InputError, match="are 64 replicas, the row says 32"):
        next(candidates(row(dp="32"), model_of(row()), framework_of("fsdp", year=2022)))


# ---- devices and networks


@pytest.mark.parametrize(
    ("gpu", "accelerator"),
    [("A100-SXM4-40GB", "a100-sxm4-40gb"), ("nvidia_a100-sxm4-80gb", "a100-sxm4-80gb"),
     ("A100 80G", "a100-sxm4-80gb"), ("V100-SXM2-32GB", "v100-sxm2-32gb"),
     ("H100 96GB HBM2e", "h100-sxm5-96gb"),
     ("H20", "h20-sxm-96gb"), ("H800", "h100-sxm5-80gb"), ("H200", "h200-sxm-141gb"), ("GB200", "gb200"),
     ("GB300", "gb300"), ("DGX B300", "b300-sxm-288gb"), ("AMD Instinct MI250X", "mi250x-die"),
     ("MI300X", "mi300x"), ("MI325X", "mi325x"), ("MI355X", "mi355x"), ("Gaudi 2", "gaudi2"),
     ("HL-325L", "gaudi3"),
     ("TPU v4", "tpu-v4"), ("TPU v5e", "tpu-v5e"), ("TPU v5p", "tpu-v5p"), ("Trillium", "tpu-v6e")],
)  # fmt: skip
def test_every_generation_has_a_server(gpu: str, accelerator: str) -> None:
    hardware = hardware_of(
        row(gpu=gpu, gpu_count="16", scale_out="", gpus_per_node="4" if "TPU" in gpu else "")
    )
    assert hardware.node.accelerator == accelerator


def test_servers_of_one_name_with_other_gpus_have_topologies_of_their_own() -> None:
    small, large = (hardware_of(row(gpu=gpu)) for gpu in ("H100-SXM5-80GB", "H100-SXM5-96GB"))
    assert small.title == large.title
    memory = [
        topology.memory_bytes(next(iter(topology.gpus))) for topology in map(topology_of, (small, large))
    ]
    assert memory[0] < memory[1]


def test_a_die_of_mi250x_is_half_of_the_package() -> None:
    package, die = catalog.accelerator("mi250x"), catalog.accelerator("mi250x-die")
    for field in ("memory_bytes", "memory_bandwidth_bytes_per_s", "compute_units", "tdp_w"):
        assert getattr(die, field) == pytest.approx(getattr(package, field) / 2, rel=0.01)
    assert die.peak("bf16") == package.peak("bf16") / 2
    assert catalog.node_type("mi250x-x8").accelerator == "mi250x-die"


@pytest.mark.parametrize(
    ("words", "title"),
    [("4x Slingshot 11 200 Gb/s", "4 x slingshot-11"), ("4x HDR", "4 x infiniband-hdr"),
     ("4 * 100Gb RoCE", "4 x ethernet-100g"), ("400 Gb/s RDMA per GPU", "8 x ethernet-400g"),
     ("3.2 Tbps EFA", "8 x efa-400g")],
)  # fmt: skip
def test_networks_are_understood(words: str, title: str) -> None:
    assert hardware_of(row(scale_out=words)).title == f"8 x dgx-h100, {title}"


# ---- fabrics that block


@pytest.mark.parametrize(
    ("words", "kind", "ratio", "group"),
    [("8x 400G RoCE, rail-optimized, 1:7 oversubscription at the top", "rail-optimized", 7.0, 32),
     ("8x NDR400 IB, fat-tree 2:1 oversubscribed", "leaf-spine", 2.0, 32),
     ("8x NDR400 IB, oversubscription of 4:1, 16 nodes per leaf", "leaf-spine", 4.0, 16)],
)  # fmt: skip
def test_a_fabric_blocks_where_the_words_say_so(words: str, kind: str, ratio: float, group: int) -> None:
    found = hardware_of(row(scale_out=words, gpu_count="512", global_batch="1024"))
    assert isinstance(found, Tiered)
    assert found.topology["kind"] == kind
    assert (found.oversubscription, found.nodes_per_group) == (ratio, group)
    assert ("not stated" in " ".join(found.assumed)) == (group == 32)


@pytest.mark.parametrize("words", ["non-blocking fat-tree", "1:1 oversubscription", "rail-optimised"])
def test_fabrics_that_do_not_block_are_the_star(words: str) -> None:
    assert hardware_of(row(scale_out=f"8x NDR400 IB, {words}")).title == "8 x dgx-h100, 8 x infiniband-ndr"


def test_an_oversubscribed_fabric_is_slower() -> None:
    words = ("2x 100G RoCE", "2x 100G RoCE, 8:1 oversubscribed, 4 nodes per leaf")
    given = [row(scale_out=each, global_batch="64", micro_batch="1", recompute="none") for each in words]
    spec = next(candidates(given[0], model_of(given[0]), framework_of("fsdp", year=2022)))
    free, blocked = (predict(spec, topology_of(hardware_of(each))).iteration_s for each in given)
    assert blocked > 1.1 * free


# ---- tori


def test_chips_that_forward_stand_in_the_torus_that_is_named() -> None:
    found = slice_of(row(gpu="TPU v5p", gpu_count="64", scale_out="ICI torus 4x4x4"))
    assert (found.dimensions, found.nodes, found.assumed) == ((4, 4, 4), 16, ())


@pytest.mark.parametrize(
    ("gpu", "chips", "dimensions"),
    [("TPU v5e", "256", (16, 16)), ("TPU v4", "512", (8, 8, 8)), ("TPU v5p", "128", (4, 4, 8))],
)
def test_a_slice_without_a_shape_is_as_even_as_can_be_and_says_so(
    gpu: str, chips: str, dimensions: tuple[int, ...]
) -> None:
    found = slice_of(row(gpu=gpu, gpu_count=chips, scale_out=""))
    assert found.dimensions == dimensions
    assert "not stated" in found.assumed[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"scale_out": "ICI 4x4x8"}, "has 128 chips, not 64"), ({"gpu": "TPU v9"}, "no node type"),
     ({"scale_out": "two slices over DCN"}, "several slices")],
)  # fmt: skip
def test_a_slice_that_cannot_be_is_refused(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        slice_of(row(**{"gpu": "TPU v5p", "gpu_count": "64", **changes}))


def test_a_job_runs_on_a_torus() -> None:
    chips = row(gpu="TPU v4", gpu_count="16", scale_out="ICI 4x2x2", global_batch="32", framework="MaxText")
    hardware = hardware_of(chips)
    assert isinstance(hardware, Slice)
    spec = next(candidates(chips, model_of(chips), framework_of("MaxText", year=2023)))
    one_link, all_links = (predict(each, topology_of(hardware)) for each in (spec, over_all_links(spec)))
    assert 0 < all_links.metrics["exposed_data_s"] < 0.5 * one_link.metrics["exposed_data_s"]


# ---- what is measured


def test_utilisation_is_turned_back_into_time_with_the_peak_that_was_used() -> None:
    plain = {"tokens_per_s_per_gpu": "", "mfu_pct": "50"}
    times = [
        iteration_time(given, model_of(given), peak_flops=1000e12)
        for given in (row(**plain), row(**plain, peak_tflops_used="500"), row(tokens_per_s_per_gpu="",
                      tflops_per_gpu="500", tflops_kind="model FLOPs (6N + attention)"))
    ]  # fmt: skip
    assert times[1].seconds == pytest.approx(2 * times[0].seconds)
    assert times[2].seconds == pytest.approx(times[0].seconds)
    # 6 N of a token, N without the embedding table, and 12·l·s·d of attention
    tokens, model = 128 * 8192, model_of(row())
    flops = 6 * (model.parameters - model.embedding_parameters) + 12 * 32 * 8192 * 4096
    assert times[0].seconds == pytest.approx(tokens * flops / (64 * 500e12))


def test_a_causal_convention_counts_half_of_the_attention() -> None:
    kinds = ("model FLOPs", "model FLOPs, causal")
    given = [row(tokens_per_s_per_gpu="", tflops_per_gpu="500", tflops_kind=kind) for kind in kinds]
    whole, causal = (iteration_time(each, model_of(each), peak_flops=1e15).seconds for each in given)
    assert whole - causal == pytest.approx(128 * 8192 * 6 * 32 * 8192 * 4096 / (64 * 500e12))


# ---- frameworks


@pytest.mark.parametrize(
    ("words", "name"),
    [("Llama 3 (FSDP, 4D)", "Llama 3"), ("fms-fsdp (PyTorch FSDP, torch.compile)", "PyTorch FSDP"),
     ("llm-foundry (PyTorch FSDP, FlashAttention-2)", "llm-foundry (2024)"), ("InternEvo", "InternEvo"),
     ("llm-foundry (PyTorch FSDP, attn_impl triton)", "llm-foundry (2023, amp)"), ("nanotron", "nanotron"),
     ("Megatron-LM (2023, commit 285068c8)", "Megatron-LM (2022 and 2023)"), ("MaxText", "MaxText"),
     ("Megatron-DeepSpeed (FlashAttention-2)", "Megatron-DeepSpeed with FlashAttention"),
     ("HAI-LLM (DualPipe)", "HAI-LLM"), ("xformers, fairscale FSDP", "PyTorch FSDP"),
     ("Megatron-Core r0.8", "Megatron-Core"), ("DeepSpeed ZeRO-3", "DeepSpeed ZeRO")],
)  # fmt: skip
def test_frameworks_of_other_systems_are_told_apart(words: str, name: str) -> None:
    assert framework_of(words, year=2022).name == name


def test_launches_block_on_jean_zay_alone() -> None:
    rules = [
        framework_of("Megatron-DeepSpeed", year=2020, system=system) for system in ("Jean Zay A100", "Selene")
    ]
    assert [rule.host.get("launch") for rule in rules] == ["blocking", None]


def test_the_page_names_every_column_of_ours(root: Path) -> None:
    page = (root / "docs" / "validation-training.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == ["held_out"]
