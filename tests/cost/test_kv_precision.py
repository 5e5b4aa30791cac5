"""Bytes of KV per token, by precision, against sizes that were published."""

from __future__ import annotations

import pytest

from clustersim import catalog
from clustersim.cost.serving.kv_precision import KV_BITS, kv_row_bytes
from clustersim.cost.transformer import kv_bytes_per_token


@pytest.mark.parametrize(
    ("model", "size_bytes"),
    [
        ("deepseek-v3", 70_272),
        ("qwen2.5-72b", 327_680),
        ("llama-3.1-405b", 516_096),
        ("llama-3-70b", 320 * 2**10),
        ("llama-2-70b", 320 * 2**10),
        ("opt-13b", 800 * 2**10),
        ("gpt-oss-120b", pytest.approx(9.66e9 / 131_072, rel=1e-3)),
    ],
)
def test_sizes_in_16_bits_are_the_published_ones(model, size_bytes) -> None:
    """DeepSeek-AI, "Insights into DeepSeek-V3", table 1 (70.272, 327.680 and 516.096 KB); Qin et al.,
    "Mooncake", FAST 2025, section 5.3.1 (320 KB); Kwon et al., SOSP 2023, section 3 (OPT-13B, 800 KB); AWS
    Neuron, "KV Cache Quantization" (gpt-oss-120b, 9.66 GB for 131k tokens)."""
    assert kv_bytes_per_token(catalog.model(model), precision="bf16") == size_bytes


@pytest.mark.parametrize("model", ["llama-2-7b", "llama-3-70b", "deepseek-v3"])
def test_eight_bits_of_one_scale_per_tensor_are_half(model) -> None:
    shape = catalog.model(model)
    assert kv_bytes_per_token(shape, precision="fp8") == kv_bytes_per_token(shape, precision="fp16") / 2


@pytest.mark.parametrize(("precision", "factor"), [("int8", 2.0), ("int4", 4.0)])
def test_scales_of_integers_cost_a_few_percent(precision, factor) -> None:
    """A scale and a zero point of 2 bytes each per head of 128: 4 bytes on 128 or on 64."""
    shape = catalog.model("llama-2-70b")
    plain = kv_bytes_per_token(shape, precision="fp16")
    assert kv_bytes_per_token(shape, precision=precision) == plain / factor + 4 * 2 * 80 * 8


def test_the_row_of_a_latent_cache_has_one_scale() -> None:
    assert kv_bytes_per_token(catalog.model("deepseek-v3"), precision="int4") == 61 * (576 / 2 + 4)


def test_a_head_is_on_every_gpu_where_there_are_more_gpus_than_heads() -> None:
    shape = catalog.model("llama-2-70b")
    eight, sixteen = (kv_bytes_per_token(shape, precision="int8", tensor=tensor) for tensor in (8, 16))
    assert eight == sixteen == kv_bytes_per_token(shape, precision="int8") / 8


def test_fewer_bits_are_never_more_bytes() -> None:
    sizes = [kv_row_bytes(128, precision=name) for name in sorted(KV_BITS, key=KV_BITS.__getitem__)]
    assert sizes == sorted(sizes)
