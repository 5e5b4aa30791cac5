"""Quantisation and sparsity: bytes by counting, times between their roofs."""

from __future__ import annotations

import pytest

from clustersim import catalog
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.operators import gemm
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.cost.serving.stage import SPARSE_SPEEDUP, ServingRoofline

PLAIN = NumberFormats(precision="bf16")
FORMATS = {
    "int4": NumberFormats(precision="bf16", weights="int4"),
    "fp8 weights": NumberFormats(precision="bf16", weights="fp8"),
    "fp8": NumberFormats(precision="bf16", weights="fp8", activations="fp8"),
    "sparse": NumberFormats(precision="bf16", sparse=True),
}


def cost(formats, accelerator="h100-sxm5-80gb"):
    return ServingCost(catalog.model("llama-3-8b"), catalog.accelerator(accelerator), formats=formats)


def test_bytes_per_weight_count_scales_and_indices():
    assert FORMATS["int4"].weight_bytes == 0.5 + (2 + 0.5) / 128
    assert FORMATS["fp8"].weight_bytes == 1.0
    assert FORMATS["sparse"].weight_bytes == pytest.approx(2 * (0.5 + 1 / 16))
    both = NumberFormats(precision="bf16", weights="int8", sparse=True)
    assert both.weight_bytes == pytest.approx(0.5 + 1 / 8)


@pytest.mark.parametrize("name", FORMATS)
def test_memory_holds_the_layers_in_the_new_format_and_the_rest_as_it_was(name):
    model, formats = catalog.model("llama-3-8b"), FORMATS[name]
    ends = 2 * model.vocab * model.hidden + (2 * model.layers + 1) * model.hidden
    expected = 2 * ends + formats.weight_bytes * (model.parameters - ends)
    assert cost(formats).weight_bytes == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", FORMATS)
def test_a_single_request_decodes_faster_by_at_most_what_it_reads_less(name):
    plain, other = cost(PLAIN), cost(FORMATS[name])
    ratio = plain.dense_step(1, 1).seconds / other.dense_step(1, 1).seconds
    assert 1.1 < ratio < plain.weight_bytes / other.weight_bytes + 0.05


def test_large_steps_gain_by_8_bit_arithmetic_and_not_by_weights_alone():
    seconds = {name: cost(formats).dense_step(8192, 1).compute_s for name, formats in FORMATS.items()}
    plain = cost(PLAIN).dense_step(8192, 1).compute_s
    assert seconds["int4"] == pytest.approx(plain, rel=1e-3)
    assert plain / seconds["fp8"] > 1.4
    assert 1.3 < plain / seconds["sparse"] <= SPARSE_SPEEDUP + 1e-9


def test_router_and_logits_keep_their_precision():
    formats = FORMATS["fp8"]
    kept = [gemm(name, m=4, n=64, k=64, precision="bf16") for name in ("moe.router", "output.logits")]
    for operator in kept:
        assert list(formats.apply(operator)) == [operator]


def test_quantising_activations_is_a_pass_over_them():
    product = gemm("ffn.up", m=32, n=128, k=256, precision="bf16")
    quantise, small = FORMATS["fp8"].apply(product)
    assert quantise.bytes_moved == 32 * 256 * (2 + 1)
    assert small.bytes_moved == 32 * 256 + 256 * 128 + 2 * 32 * 128
    assert (small.precision, small.flops) == ("fp8", product.flops)


def test_decode_attention_reads_the_cache_in_its_own_format():
    slopes = {}
    for kv in ("bf16", "fp8", "int4"):
        served = cost(NumberFormats(precision="bf16", kv=kv))
        slopes[kv] = served.decode_line(16)[1].seconds
        assert served.kv_bytes_per_token == served.model.layers * served.formats.kv_token_bytes(
            served.model, kv_heads=8
        )
    assert slopes["bf16"] / slopes["fp8"] == pytest.approx(2.0, rel=1e-6)
    assert 3.5 < slopes["bf16"] / slopes["int4"] < 4.0


def test_the_library_of_an_engine_scales_8_bit_products_only():
    device = catalog.accelerator("h100-sxm5-80gb")
    plain, faster = (
        ServingRoofline(device, formats=PLAIN, narrow_product_times=times) for times in (1.0, 0.9)
    )
    for precision, ratio in (("fp8", 0.9), ("bf16", 1.0)):
        product = gemm("ffn.up", m=8192, n=8192, k=8192, precision=precision)
        assert faster.roofs(product).compute_s == pytest.approx(ratio * plain.roofs(product).compute_s)
