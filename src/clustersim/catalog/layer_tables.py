"""Models as a table of layers: convolutional networks, and what users describe so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from clustersim.catalog._store import Source

__all__ = ["LayerKind", "LayerTableModel", "TableLayer", "residual_network"]

_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


LayerKind = Literal["conv", "linear", "product", "norm", "add", "pool", "elementwise", "embedding"]
"""`product` multiplies two activations; `elementwise` and `embedding` move memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayer:
    """One layer and what it costs for one sample.

    `gemm` is the shape (m, n, k) of the matrix product that a convolution or a linear
    layer amounts to for one sample: m grows with the batch. Elements are counted, not
    bytes; of an addition `input_elements` counts both operands.
    """

    name: str
    kind: LayerKind
    flops_forward: float
    parameters: int
    input_elements: int
    output_elements: int
    gemm: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class LayerTableModel:
    """A network given layer by layer; its samples are counted in `unit`.

    A `norm` layer includes the activation function after it.
    **Checked by:** tests/catalog/test_layer_tables.py (published parameters and FLOPs).
    """

    name: str
    layers: tuple[TableLayer, ...]
    unit: str = "image"
    published_parameters: float | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False, hash=False)

    @property
    def source(self) -> Source:
        """Where the architecture comes from."""
        return self.sources["all"]

    @cached_property
    def parameters(self) -> int:
        """All parameters."""
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def flops_forward(self) -> float:
        """Operations of the forward pass of one sample; a multiply-add counts as two."""
        return sum(layer.flops_forward for layer in self.layers)


@dataclass
class _Image:
    """The tensor that flows through the network while its table is written."""

    channels: int
    side: int

    @property
    def elements(self) -> int:
        return self.channels * self.side**2


def _convolution(name: str, image: _Image, channels: int, kernel: int, stride: int) -> Iterator[TableLayer]:
    """Yield a convolution without bias and the batch normalisation after it; move `image` on."""
    before = image.elements
    inner = image.channels * kernel**2
    image.side = math.ceil(image.side / stride)
    image.channels = channels
    pixels = image.side**2
    yield TableLayer(
        name=name,
        kind="conv",
        flops_forward=2.0 * pixels * channels * inner,
        parameters=channels * inner,
        input_elements=before,
        output_elements=image.elements,
        gemm=(pixels, channels, inner),
    )
    yield _elementwise(f"{name}.norm", "norm", image.elements, parameters=2 * channels)


def _elementwise(
    name: str, kind: Literal["norm", "add"], elements: int, *, parameters: int = 0
) -> TableLayer:
    operands = 2 if kind == "add" else 1
    return TableLayer(
        name=name,
        kind=kind,
        flops_forward=0.0,
        parameters=parameters,
        input_elements=operands * elements,
        output_elements=elements,
    )


def _bottleneck(name: str, image: _Image, width: int, stride: int) -> Iterator[TableLayer]:
    shortcut = _Image(image.channels, image.side)
    yield from _convolution(f"{name}.conv1", image, width, 1, 1)
    yield from _convolution(f"{name}.conv2", image, width, 3, stride)
    yield from _convolution(f"{name}.conv3", image, 4 * width, 1, 1)
    if shortcut.channels != image.channels:
        yield from _convolution(f"{name}.downsample", shortcut, 4 * width, 1, stride)
    yield _elementwise(f"{name}.add", "add", image.elements)


def _pool(name: str, before: int, after: int) -> TableLayer:
    return TableLayer(
        name=name, kind="pool", flops_forward=0.0, parameters=0, input_elements=before, output_elements=after
    )


def _layers(blocks: tuple[int, ...], side: int, classes: int) -> Iterator[TableLayer]:
    image = _Image(3, side)
    yield from _convolution("conv1", image, 64, 7, 2)
    before = image.elements
    image.side = math.ceil(image.side / 2)
    yield _pool("maxpool", before, image.elements)
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            yield from _bottleneck(f"layer{stage + 1}.{block}", image, 64 * 2**stage, stride)
    yield _pool("avgpool", image.elements, image.channels)
    yield TableLayer(
        name="fc",
        kind="linear",
        flops_forward=2.0 * image.channels * classes,
        parameters=(image.channels + 1) * classes,
        input_elements=image.channels,
        output_elements=classes,
        gemm=(1, classes, image.channels),
    )


def residual_network(
    name: str,
    *,
    depth: int,
    side: int = 224,
    classes: int = 1000,
    published_parameters: float | None = None,
    sources: Mapping[str, Source] = MappingProxyType({}),
) -> LayerTableModel:
    """Return ResNet-50, -101 or -152 (version 1.5) for square images of `side` pixels.

    Version 1.5 puts the stride of a down-sampling bottleneck into its 3×3 convolution.
    **Source:** He et al., CVPR 2016, table 1.
    """
    return LayerTableModel(
        name=name,
        layers=tuple(_layers(_BLOCKS[depth], side, classes)),
        published_parameters=published_parameters,
        sources=MappingProxyType(dict(sources)),
    )
