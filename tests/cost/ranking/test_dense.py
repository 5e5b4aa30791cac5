"""The dense part of ranking models as kernels: FLOPs, launches and bytes of both passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.ranking_layers import linear_layers
from clustersim.cost.operators import GemmShape
from clustersim.cost.ranking.dense import dense_backward, dense_forward
from clustersim.cost.roofline import EagerRoofline, Roofline

NAMES = catalog.names("ranking-models")
FLAT = [name for name in NAMES if catalog.ranking_model(name).interaction.kind != "transformer"]
both = pytest.mark.parametrize("fused", [True, False], ids=["fused", "eager"])


@both
@pytest.mark.parametrize("name", NAMES)
def test_kernels_of_the_forward_pass_have_the_flops_of_the_model(name, fused):
    model = catalog.ranking_model(name)
    kernels = dense_forward(model, batch=64, precision="tf32", fused=fused)
    assert kernels.flops == pytest.approx(64 * model.flops_per_sample, rel=1e-9)


@both
@pytest.mark.parametrize("name", FLAT)
def test_the_backward_pass_has_twice_the_flops_but_no_gradient_of_the_dense_features(name, fused):
    model = catalog.ranking_model(name)
    kernels = dense_backward(model, batch=64, precision="tf32", fused=fused)
    unneeded = 2.0 * model.dense_features * model.bottom_mlp[0] if model.bottom_mlp else 0.0
    assert kernels.flops == pytest.approx(64 * (2.0 * model.flops_per_sample - unneeded), rel=1e-9)


@both
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_gets_a_gradient_of_the_shape_of_its_weights(name, fused):
    model = catalog.ranking_model(name)
    kernels = dense_backward(model, batch=64, precision="tf32", fused=fused)
    shapes = {
        operator.name.removesuffix(".weight_gradient"): (operator.shape.m, operator.shape.n)
        for operator in kernels.operators
        if operator.name.endswith(".weight_gradient") and isinstance(operator.shape, GemmShape)
    }
    assert shapes == {layer.name: (layer.inputs, layer.outputs) for layer in linear_layers(model)}


@pytest.mark.parametrize(
    ("name", "fused", "forward", "backward"),
    [
        # DLRM: 8 layers. Fused: their products and one interaction; backward two products each but
        # one of the first, the interaction, the loss.
        ("dlrm-criteo-1tb", True, 8 + 1, 2 * 8 - 1 + 1 + 1),
        # Eager: an activation per layer; stack, product, triangle, join. Backward also gradients of
        # activation and bias; join, clear, 10 of indexing, 2 products, sum, stack; 4 of the loss.
        ("dlrm-criteo-1tb", False, 2 * 8 + 4, 2 * 8 - 1 + 2 * 8 + 16 + 4),
        # DCN-v2: 3 layers of two products and one kernel, or three; backward one, or five.
        ("dlrm-dcnv2-mlperf", True, 8 + 3 * 3, 2 * 8 - 1 + 3 * 5 + 1),
        ("dlrm-dcnv2-mlperf", False, 2 * 8 + 1 + 3 * 5, 4 * 8 - 1 + 3 * 9 + 1 + 4),
        # NCF: 4 + 1 layers and the product of factors; eager, joins before the MLP and before the head.
        ("ncf", True, 5 + 1, 10 + 1 + 1),
        ("ncf", False, 2 * 5 + 1 + 2, 4 * 5 + 2 + 1 + 1 + 4),
    ],
)
def test_the_host_launches_so_many_kernels(name, fused, forward, backward):
    model = catalog.ranking_model(name)
    assert dense_forward(model, batch=512, precision="fp16", fused=fused).launches == forward
    assert dense_backward(model, batch=512, precision="fp16", fused=fused).launches == backward


@pytest.mark.parametrize("name", NAMES)
def test_fusing_saves_launches_and_never_moves_more_bytes(name):
    model = catalog.ranking_model(name)
    for build in (dense_forward, dense_backward):
        fused, eager = (build(model, batch=512, precision="fp16", fused=each) for each in (True, False))
        assert fused.launches < eager.launches
        assert fused.bytes_moved <= eager.bytes_moved
        assert fused.flops == pytest.approx(eager.flops)


@given(
    name=st.sampled_from(NAMES),
    batch=st.integers(1, 4096),
    precision=st.sampled_from(["fp32", "tf32", "fp16", "int8"]),
    fused=st.booleans(),
)
def test_flops_grow_with_the_batch_and_weights_are_read_once(name, batch, precision, fused):
    model = catalog.ranking_model(name)
    one, two = (
        dense_forward(model, batch=size, precision=precision, fused=fused) for size in (batch, 2 * batch)
    )
    assert two.flops == pytest.approx(2.0 * one.flops, rel=1e-9)
    assert one.bytes_moved < two.bytes_moved < 2.0 * one.bytes_moved
    assert two.launches == one.launches


def test_another_precision_of_the_interaction_leaves_the_rest_alone():
    model = catalog.ranking_model("dlrm-dcnv2-mlperf")
    plain = dense_forward(model, batch=128, precision="int8")
    mixed = dense_forward(model, batch=128, precision="int8", interaction_precision="fp16")
    assert (mixed.bottom, mixed.top) == (plain.bottom, plain.top)
    assert {operator.precision for operator in mixed.interaction} == {"fp16"}


def test_an_interaction_of_its_own_takes_the_place_of_the_eager_one():
    """TensorFlow with NVIDIA's custom `dot_based_interact`: linear layers stay as they are."""
    model = catalog.ranking_model("dlrm-nvidia-22b")
    for build in (dense_forward, dense_backward):
        mixed = build(model, batch=128, precision="tf32", fused=False, fused_interaction=True)
        assert mixed.interaction == build(model, batch=128, precision="tf32").interaction
        eager = build(model, batch=128, precision="tf32", fused=False)
        assert (mixed.bottom, mixed.top) == (eager.bottom, eager.top)


def test_fused_layers_pad_the_479_inputs_that_eager_ones_read_unaligned():
    model = catalog.ranking_model("dlrm-criteo-1tb")
    by_fused = {
        fused: dense_forward(model, batch=128, precision="tf32", fused=fused).top[0].shape
        for fused in (True, False)
    }
    assert by_fused[True].alignment_bytes == 128
    assert by_fused[False].alignment_bytes == 4


def test_parts_come_in_the_order_in_which_gradients_need_each_other():
    kernels = dense_backward(catalog.ranking_model("mt-wnd"), batch=8, precision="fp32")
    assert kernels.top[0].name == "loss"
    assert kernels.top[1].name == "heads.0.1.input_gradient"
    assert kernels.top[-1].name == "top.0.weight_gradient"


def test_each_task_has_a_head_of_its_own():
    model = catalog.ranking_model("mt-wnd")
    heads = [each for each in dense_forward(model, batch=8, precision="fp32").top if "heads" in each.name]
    assert len(heads) == model.tasks * len(model.task_mlp)


def test_at_a_small_batch_the_host_bounds_an_eager_model_and_no_fused_one_in_a_graph():
    """What a profile of DLRM shows: milliseconds of launches around a fraction of them in kernels."""
    device = catalog.accelerator("a100-sxm4-80gb")
    kernels = dense_backward(
        catalog.ranking_model("dlrm-criteo-1tb"), batch=256, precision="tf32", fused=False
    )
    eager = EagerRoofline(device).stream(kernels.operators)
    graph = Roofline(device).stream(kernels.operators)
    assert eager.launch_s > 0.0
    assert graph.launch_s == 0.0
    assert eager.seconds == pytest.approx(
        max(graph.seconds, kernels.launches * device.kernel_launch_s), rel=1e-9
    )
