"""Residual networks, layer by layer."""

import pytest

from clustersim import catalog


@pytest.mark.parametrize(
    ("name", "convolutions"), [("resnet-50", 53), ("resnet-101", 104), ("resnet-152", 155)]
)
def test_a_residual_network_has_its_published_parameters(name, convolutions):
    model = catalog.model(name)
    assert model.parameters == model.published_parameters
    assert sum(layer.kind == "conv" for layer in model.layers) == convolutions
    assert sum(layer.kind == "norm" for layer in model.layers) == convolutions


def test_resnet_50_needs_4_09_billion_multiply_adds_per_image():
    # torchvision's model card gives 4.09 GMAC for version 1.5 at 224 pixels
    assert catalog.model("resnet-50").flops_forward / 2 == pytest.approx(4.09e9, rel=0.002)


def test_every_product_has_the_flops_of_its_shape_and_the_outputs_of_its_layer():
    for layer in catalog.model("resnet-50").layers:
        if layer.gemm is not None:
            m, n, k = layer.gemm
            assert layer.flops_forward == 2 * m * n * k
            assert layer.output_elements == m * n
