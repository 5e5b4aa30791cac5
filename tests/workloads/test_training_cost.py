"""Costs of a training pass on one GPU that has the whole model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.cost.operators import gemm
from clustersim.cost.training.block import gradient_products
from clustersim.cost.training.shard import Shard
from clustersim.cost.training.training_cost import training_cost
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.closed_form import beside_s

A100 = catalog.accelerator("a100-sxm4-80gb")


def cost(model: str, *, precision: str = "bf16", micro_batch: int = 4, **options):
    return training_cost(catalog.model(model), A100, precision=precision, micro_batch=micro_batch, **options)


@pytest.mark.parametrize(
    "model", ["bert-large", "gpt2-xl", "llama-2-7b", "mixtral-8x7b", "vit-l-16", "resnet-50"]
)
def test_blocks_have_all_parameters(model):
    assert cost(model).parameters == catalog.model(model).parameters


def test_gradients_travel_as_they_are_added_up():
    for precision, size in {"fp16": 2, "bf16": 4, "tf32": 4}.items():
        assert cost("bert-large", precision=precision).gradient_bytes_per_parameter == size
    assert cost("bert-large", gradient_bytes=2).gradient_bytes_per_parameter == 2


def test_resnet_50_has_three_times_its_published_forward_flops():
    assert cost("resnet-50").flops_per_sample == pytest.approx(3 * 2 * 4.09e9, rel=0.01)


@pytest.mark.parametrize(("name", "published"), [("vit-b-16", 17.56e9), ("vit-l-16", 61.55e9)])
def test_image_encoders_have_the_published_forward_flops(name, published):
    """Torchvision's model pages: billions of multiply-adds, patches and classes included."""
    assert cost(name).flops_per_sample == pytest.approx(3 * 2 * published, rel=0.01)


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


@pytest.mark.parametrize(
    ("fields", "forward", "backward"),
    [
        ({}, False, True),
        ({"tensor": True}, True, True),
        ({"tensor_backward": False}, False, False),
        ({"tensor": True, "tensor_backward": False}, True, True),
    ],
)
def test_messages_of_tensor_parallelism_hide_where_the_framework_lets_them(fields, forward, backward):
    found = cost("gpt3-6.7b", shard=Shard(tensor=4, sequence=True)).layers[1]
    overlap = OverlapSpec(**fields)
    assert (beside_s(found.messages_forward[0], overlap) > 0.0) == forward
    assert (beside_s(found.messages_backward[-1], overlap) > 0.0) == backward


def test_images_in_full_precision_pay_for_their_layout():
    half, full = (cost("resnet-50", precision=precision, micro_batch=64) for precision in ("fp16", "tf32"))
    ratio = (full.forward + full.backward).memory_s / (half.forward + half.backward).memory_s
    assert ratio > 2.2
