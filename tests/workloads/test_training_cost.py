"""Costs of a training pass: counts against published formulas."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.operators import gemm
from clustersim.cost.training import FRAMEWORK_BYTES, training_cost
from clustersim.cost.training_block import gradient_products
from clustersim.cost.training_transformer import transformer_blocks
from clustersim.errors import CannotRunError

A100 = catalog.accelerator("a100-sxm4-80gb")


def cost(model: str, *, precision: str = "bf16", micro_batch: int = 4, **options):
    return training_cost(catalog.model(model), A100, precision=precision, micro_batch=micro_batch, **options)


@pytest.mark.parametrize(
    "model", ["bert-large", "gpt2-xl", "llama-2-7b", "mixtral-8x7b", "vit-l-16", "resnet-50"]
)
def test_blocks_have_all_parameters(model):
    assert cost(model).parameters == catalog.model(model).parameters


@pytest.mark.parametrize(("attention", "pairs"), [("unfused", 5), ("fused", 0)])
def test_activations_of_a_layer_are_those_of_korthikanti(attention, pairs):
    model = catalog.model("megatron-22b")
    s, b, h, a = 2048, 4, model.hidden, model.heads
    blocks = transformer_blocks(model, samples=b, sequence=s, precision="fp16", attention=attention)
    kept = sum(block.activation_bytes for block in blocks if block.layer == 0)
    lse = 4 * s * b * a if attention == "fused" else 0
    assert kept == pytest.approx(s * b * h * (34 + pairs * a * s / h) + lse, rel=1e-12)


def test_full_recomputation_keeps_the_inputs_of_layers_and_one_layer():
    model = catalog.model("megatron-22b")
    s, b, h, layers = 2048, 2, model.hidden, model.layers
    none, full = (cost("megatron-22b", micro_batch=b, recompute=mode).memory for mode in ("none", "full"))
    layer = s * b * h * 34 + 4 * s * b * model.heads
    saved = layers * layer - (layers * 2 * s * b * h + layer)
    assert none.activations - full.activations == pytest.approx(saved, rel=1e-12)


def test_recomputation_adds_a_forward_pass_of_the_layers_to_the_backward_pass():
    none, full = (cost("gpt2-xl", recompute=mode) for mode in ("none", "full"))
    layers = sum(layer.forward.seconds for layer in none.layers if layer.name.startswith("layer"))
    assert full.backward.seconds == pytest.approx(none.backward.seconds + layers, rel=1e-9)
    assert full.flops_per_sample == none.flops_per_sample


@pytest.mark.parametrize(
    ("precision", "optimizer", "bytes_per_parameter"),
    [
        ("bf16", "adam", 16),
        ("fp16", "sgd", 12),
        ("fp32", "adam", 16),
        ("tf32", "lamb", 16),
        ("tf32", "sgd", 12),
    ],
)
def test_states_take_the_bytes_per_parameter_of_zero(precision, optimizer, bytes_per_parameter):
    found = cost("bert-large", precision=precision, optimizer=optimizer)
    memory = replace(found.memory, activations=0.0)
    assert memory.total_bytes - FRAMEWORK_BYTES == bytes_per_parameter * found.parameters


def test_gradients_travel_in_two_bytes_in_mixed_precision_only():
    assert cost("bert-large", precision="fp16").gradient_bytes_per_parameter == 2
    assert cost("bert-large", precision="tf32").gradient_bytes_per_parameter == 4


def test_flops_of_a_sample_are_six_per_parameter_and_token_and_attention():
    model = catalog.model("gpt2-xl")
    tokens = model.max_sequence
    products = (
        model.layers * (model.attention_parameters + model.dense_ffn_parameters) + model.vocab * model.hidden
    )
    attention = 12 * model.layers * model.hidden * tokens**2
    expected = 6 * products * tokens + attention
    assert cost("gpt2-xl").flops_per_sample == pytest.approx(expected, rel=2e-3)  # biases


def test_resnet_50_has_three_times_its_published_forward_flops():
    assert cost("resnet-50").flops_per_sample == pytest.approx(3 * 2 * 4.09e9, rel=0.01)


@given(m=st.integers(1, 4096), n=st.integers(1, 4096), k=st.integers(1, 4096))
def test_gradient_products_have_the_flops_of_the_forward_product(m, n, k):
    forward = gemm("product", m=m, n=n, k=k, precision="bf16")
    assert [operator.flops for operator in gradient_products(forward)] == [forward.flops] * 2


def test_the_backward_pass_of_large_products_takes_twice_the_forward_pass():
    found = cost("gpt3-6.7b", micro_batch=1)
    assert found.backward.seconds / found.forward.seconds == pytest.approx(2.0, rel=0.15)


@settings(max_examples=10, deadline=None)
@given(batch=st.integers(1, 64))
def test_a_larger_micro_batch_never_takes_less_time(batch):
    smaller, larger = (cost("bert-large", micro_batch=size, sequence=128) for size in (batch, batch + 1))
    for one, two in ((smaller.forward, larger.forward), (smaller.backward, larger.backward)):
        # Tiles may change with the size of a product: a few kernels get faster by a little.
        assert two.seconds >= one.seconds * 0.97


def test_a_small_model_waits_for_the_host():
    tiny = cost("bert-base", micro_batch=1, sequence=16)
    kernels = tiny.forward.seconds / A100.kernel_launch_s
    assert tiny.forward.launch_s > 0
    assert kernels == pytest.approx(round(kernels))
    large = cost("bert-large", micro_batch=64, sequence=128)
    assert large.forward.launch_s == 0.0


def test_latent_attention_is_refused():
    with pytest.raises(CannotRunError, match="latent attention"):
        cost("deepseek-v3")


def test_images_in_full_precision_pay_for_their_layout():
    half, full = (cost("resnet-50", precision=precision, micro_batch=64) for precision in ("fp16", "tf32"))
    ratio = (full.forward + full.backward).memory_s / (half.forward + half.backward).memory_s
    assert ratio > 2.2
