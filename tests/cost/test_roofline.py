"""The roofline: corners in closed form, monotone, split by the roof that binds."""

import csv
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.efficiency import DecodeAttentionCurve, GemmCurve, MemoryCurve, curve_set
from clustersim.cost.operators import convolution, decode_attention, elementwise, gemm, prefill_attention
from clustersim.cost.roofline import EagerRoofline, KernelTime, Roofline
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH
from clustersim.errors import CatalogError

A100 = catalog.accelerator("a100")
IDEAL = replace(
    curve_set("a100"),
    gemm={
        "bf16": GemmCurve(
            latency_s=0.0, efficiency=1.0, tile_half=0.0, prologue_k=0.0, memory_efficiency=1.0, split_s=1.0
        )
    },
    plain_decode=DecodeAttentionCurve(latency_s=0.0, memory_efficiency=1.0, saturating_blocks=1.0),
    memory={"elementwise": MemoryCurve(latency_s=0.0, efficiency=1.0)},
)
DEVICES = ["a100", "h100", "a40", "v100", "t4", "mi300x", "b200", "tpu-v5p"]
WIDTHS = st.sampled_from([64, 128, 768, 1024, 4096, 11008, 28672])


def bf16(m, n, k):
    return gemm("product", m=m, n=n, k=k, precision="bf16")


def test_a_large_product_on_an_ideal_device_takes_flops_over_peak():
    # 108 SMs · 128-wide tiles: whole waves
    product = bf16(108 * 128, 8192, 65536)
    time = Roofline(A100, curves=IDEAL).time(product)
    assert time.seconds == pytest.approx(product.flops / 312e12, rel=1e-4)
    assert time.memory_s < 1e-8 * time.compute_s


def test_a_thin_product_on_an_ideal_device_takes_bytes_over_bandwidth():
    product = bf16(1, 8192, 8192)
    time = Roofline(A100, curves=IDEAL).time(product)
    assert time.seconds == pytest.approx(product.bytes_moved / 2039e9, rel=0.01)
    assert time.compute_s < 1e-4 * time.memory_s


def test_a_streaming_kernel_takes_bytes_over_bandwidth():
    copy = elementwise("copy", bytes_moved=2.039e9, precision="bf16")
    assert Roofline(A100, curves=IDEAL).time(copy).seconds == pytest.approx(1e-3)


def test_one_tile_more_than_a_wave_takes_another_wave():
    roofline = Roofline(A100)
    full, over = (roofline.time(bf16(m, 128 * 108, 8192)).seconds for m in (256, 257))
    assert over > 1.2 * full


SWEPT = {
    "A100-PCIe-80GB": "a100-pcie",
    "A100-SXM4-80GB": "a100",
    "H100-SXM5": "h100",
    "H200-SXM": "h200",
    "B200-SXM": "b200",
    "B300-SXM": "b300",
    "MI300X": "mi300x",
    "MI325X": "mi325x",
    "MI355X": "mi355x",
    "Gaudi2": "gaudi2",
    "Gaudi3": "gaudi3",
}


def best_rate(device):
    roofline = Roofline(catalog.accelerator(device))
    products = [bf16(m, m, k) for m in (4096, 8192, 16384) for k in (8192, 16384)]
    return max(product.flops / roofline.time(product).seconds for product in products)


def test_the_largest_products_are_as_fast_as_a_public_sweep_found(shared):
    with shared("truth/D_accelerators.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    for name, device in SWEPT.items():
        assert best_rate(device) == pytest.approx(float(rows[name]["mamf_bf16_tflops"]) * 1e12, rel=0.08)


def test_no_product_beats_the_best_one_that_was_measured_on_its_device():
    for device in map(catalog.accelerator, catalog.names("accelerators")):
        limit = device.best_product_flops.get("bf16")
        if limit is not None:
            assert 0.9 * limit < best_rate(device.name) <= limit


def test_decode_attention_is_affine_in_the_context_sum():
    roofline = Roofline(A100)
    for kv_heads in (8, 64):
        times = [
            roofline.time(
                decode_attention(
                    "a", batch=32, context_sum=s, heads=64, kv_heads=kv_heads, head_dim=128, precision="bf16"
                )
            ).seconds
            for s in (1_000, 30_000, 59_000)
        ]
        assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@given(m=st.integers(1, 8192), n=WIDTHS, k=WIDTHS)
def test_a_product_never_beats_its_roofs_and_grows_with_its_rows(device, m, n, k):
    roofline = Roofline(catalog.accelerator(device))
    precision = "bf16" if "bf16" in roofline.accelerator.peak_flops else "fp16"
    product = gemm("product", m=m, n=n, k=k, precision=precision)
    seconds = roofline.time(product).seconds
    assert seconds >= product.flops / roofline.accelerator.peak(precision)
    assert seconds >= product.bytes_moved / roofline.accelerator.memory_bandwidth_bytes_per_s
    assert roofline.time(replace_rows(product, m + 64)).seconds >= seconds


def replace_rows(product, m):
    shape = product.shape
    return gemm(product.name, m=m, n=shape.n, k=shape.k, precision=product.precision)


@given(queries=st.integers(1, 8192), past=st.integers(0, 8192), more=st.integers(1, 4096))
def test_attention_grows_with_its_past(queries, past, more):
    roofline = Roofline(A100)
    short, long = (
        roofline.time(
            prefill_attention(
                "a", queries=queries, past=p, heads=32, kv_heads=8, head_dim=128, precision="bf16"
            )
        ).seconds
        for p in (past, past + more)
    )
    assert long >= short


def test_a_device_with_more_of_everything_is_faster():
    better = replace(
        A100,
        peak_flops={"bf16": 624e12},
        memory_bandwidth_bytes_per_s=4e12,
        scale_up_bandwidth_bytes_per_s=None,
    )
    for product in (bf16(1, 4096, 4096), bf16(4096, 4096, 4096)):
        assert Roofline(better).time(product).seconds < Roofline(A100).time(product).seconds


def test_a_convolution_takes_what_its_product_takes_but_reads_the_image_once():
    shape = {"m": 32 * 56 * 56, "n": 64, "k": 64 * 9, "precision": "fp16"}
    image = 32 * 56 * 56 * 64
    conv = convolution("conv", input_elements=image, output_elements=image, **shape)
    assert conv.flops == gemm("product", **shape).flops
    assert conv.bytes_moved < gemm("product", **shape).bytes_moved
    assert Roofline(A100).time(conv).seconds <= Roofline(A100).time(gemm("product", **shape)).seconds


def test_times_add_up_and_are_shared_out_over_resources():
    total = KernelTime(1.0, 2.0, 0.5) + KernelTime(1.0, 0.0, 0.0) * 3
    assert total == KernelTime(4.0, 2.0, 0.5)
    assert total.shares() == {COMPUTE: 4.0, MEMORY_BANDWIDTH: 2.0, HOST: 0.5}
    assert sum(total.shares().values()) == total.seconds
    assert KernelTime.ZERO.shares() == {}


def test_an_operator_executed_n_times_takes_n_times_as_long():
    once, thrice = (gemm("p", m=64, n=1024, k=1024, precision="bf16", count=c) for c in (1, 3))
    roofline = Roofline(A100)
    assert roofline.time(thrice).seconds == pytest.approx(3 * roofline.time(once).seconds)


def test_eager_launches_hide_behind_long_kernels_and_bound_short_ones():
    eager, graph = EagerRoofline(A100), Roofline(A100)
    long, short = bf16(8192, 8192, 8192), elementwise("add", bytes_moved=1e4, precision="bf16")
    assert eager.time(long) == graph.time(long)
    assert eager.time(short).seconds == pytest.approx(A100.kernel_launch_s)
    assert eager.time(short).launch_s > 0.0
    # the host launches the short ones while the long one runs
    assert eager.stream([long, *[short] * 20]).launch_s == 0.0
    assert eager.stream([short] * 20).seconds == pytest.approx(20 * A100.kernel_launch_s)


def test_a_precision_without_a_rate_is_refused():
    with pytest.raises(CatalogError, match="no peak rate for 'fp8'"):
        Roofline(A100).time(gemm("p", m=64, n=64, k=64, precision="fp8"))
    with pytest.raises(CatalogError, match=r"unknown precision 'bf17'.*'bf16'"):
        gemm("p", m=64, n=64, k=64, precision="bf17")
