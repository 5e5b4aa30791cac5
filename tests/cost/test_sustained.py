"""The roofline under a power limit: what long streams of large products hold."""

from __future__ import annotations

import csv
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.operators import (
    backward_attention,
    elementwise,
    expert_gemm,
    gemm,
    grouped_gemm,
    prefill_attention,
)
from clustersim.cost.roofline import Roofline, SustainedRoofline

A100, H100 = catalog.accelerator("a100"), catalog.accelerator("h100")
LIMITED = [
    name for name in catalog.names("accelerators") if catalog.accelerator(name).sustained_product_flops
]


def product(m, n, k, precision="bf16"):
    return gemm("product", m=m, n=n, k=k, precision=precision)


@pytest.mark.parametrize("device", [A100, H100], ids=lambda device: device.name)
def test_a_long_product_runs_at_the_sustained_rate(device):
    large = product(16384, 8192, 16384)
    rate = large.flops / SustainedRoofline(device).time(large).seconds
    assert rate == pytest.approx(device.sustained_rate("bf16"), rel=0.03)
    assert rate < large.flops / Roofline(device).time(large).seconds


@given(m=st.integers(1, 16384), n=st.sampled_from([256, 4096, 28672]), k=st.sampled_from([128, 4096]))
def test_no_product_is_faster_for_the_limit_and_none_beats_it(m, n, k):
    operator = product(m, n, k)
    held, burst = SustainedRoofline(H100).kernel(operator), Roofline(H100).kernel(operator)
    assert held.seconds >= burst.seconds
    assert held.seconds >= operator.flops / H100.sustained_rate("bf16")


@pytest.mark.parametrize(
    "operator",
    [product(1, 8192, 8192), elementwise("add", bytes_moved=1e9, precision="bf16")],
    ids=["thin product", "addition"],
)
def test_a_kernel_that_memory_bounds_is_not_slowed(operator):
    assert SustainedRoofline(H100).time(operator) == Roofline(H100).time(operator)


@pytest.mark.parametrize("name", LIMITED)
def test_a_device_holds_less_than_its_best_product_and_its_peak(name):
    device = catalog.accelerator(name)
    for precision, rate in device.sustained_product_flops.items():
        assert 0.3 * device.peak(precision) < rate <= device.rate(precision, share=1.0)
        assert device.sustained_rate(precision) == rate


def test_a_precision_without_a_measurement_holds_the_share_of_bf16():
    share = H100.sustained_rate("bf16") / H100.peak("bf16")
    assert H100.sustained_rate("tf32") == pytest.approx(share * H100.peak("tf32"))
    assert catalog.accelerator("tpu-v4").sustained_rate("bf16") == catalog.accelerator("tpu-v4").peak("bf16")


def test_devices_hold_alike_shares_of_the_best_product_of_a_public_sweep():
    # stas00/ml-engineering, TFLOP/s in bf16
    best = {
        "a100": 271.2,
        "h100": 794.5,
        "h200": 794.5,
        "gh200": 828.6,
        "b200": 1745,
        "b300": 1769,
        "gb200": 1822,
    }
    for name, rate in best.items():
        assert 0.84 < catalog.accelerator(name).sustained_rate("bf16") / (rate * 1e12) < 0.98


@pytest.mark.parametrize("device", ["a100", "h100"])
def test_large_products_of_pytorch_are_as_long_as_the_limit_says(device, shared):
    """Vidur's profiles: PyTorch runs a product again and again; no curve was fitted to them."""
    path, roofline = (
        shared("truth/vidur_profiles/linear_ops.csv.gz"),
        SustainedRoofline(catalog.accelerator(device)),
    )
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["device"], row["source"]) == (device, "vidur")]
    errors = []
    for row in rows:
        tokens, hidden, width = (float(row[key]) for key in ("num_tokens", "n_embd", "n_expanded_embd"))
        if row["mlp_down_proj_ms"] and tokens >= 2048 and row["num_tensor_parallel_workers"] == "1":
            operator = product(tokens, hidden, width, "fp16")
            errors.append(roofline.kernel(operator).seconds / (float(row["mlp_down_proj_ms"]) * 1e-3) - 1.0)
    errors.sort()
    assert len(errors) > 100
    assert abs(errors[len(errors) // 2]) < 0.06


@pytest.mark.parametrize(
    ("head_dim", "published"),
    [(64, 474e12), (128, 561e12)],  # FlashAttention-3 on H100, 16k tokens: Shah et al., 2024, figure 6
)
def test_the_backward_pass_of_attention_is_as_fast_as_published(head_dim, published):
    heads = 2048 // head_dim
    forward = prefill_attention(
        "a", queries=16384, heads=heads, kv_heads=heads, head_dim=head_dim, precision="fp16", causal=False
    )
    backward = backward_attention("b", forward)
    assert backward.flops == 2.5 * forward.flops
    assert backward.flops / Roofline(H100).kernel(backward).seconds == pytest.approx(published, rel=0.1)


def test_only_attention_of_many_queries_has_a_backward_pass():
    with pytest.raises(TypeError, match="product is no attention of many queries"):
        backward_attention("b", product(8, 8, 8))


@pytest.mark.parametrize("device", [A100, H100], ids=lambda device: device.name)
def test_narrow_heads_take_longer_per_flop_than_wide_ones(device):
    def rate(width):
        kernel = prefill_attention(
            "a", queries=4096, heads=4096 // width, kv_heads=4096 // width, head_dim=width, precision="bf16"
        )
        return kernel.flops / Roofline(device).kernel(kernel).seconds

    assert rate(64) < rate(128) < rate(256)


def test_experts_in_one_kernel_are_slower_than_dense_products_of_their_shapes():
    shape = {"groups": 8, "m": 4096.0, "n": 4096, "k": 14336, "precision": "bf16"}
    fused, dense = expert_gemm("experts", **shape), grouped_gemm("experts", **shape)
    assert (fused.flops, fused.bytes_moved) == (dense.flops, dense.bytes_moved)
    assert Roofline(H100).kernel(fused).seconds > 1.2 * Roofline(H100).kernel(dense).seconds
