"""Operators of a training pass over a layer table: convolutional networks and what users describe so.

Convolutions are implicit matrix products. Everything else moves memory:

- batch normalisation reads x for the statistics, then reads x and writes y; backward it reads
  x and dy for the sums, then reads both and writes dx;
- the activation after it works in place, as a kernel of its own (eager PyTorch; compilers
  fuse it); backward it reads y and dy and writes dx;
- the addition of a shortcut reads two tensors and writes one; backward the two gradients that
  meet are added;
- fp32 and tf32 networks lie in NCHW order, the frameworks' default, so that the operands of
  every convolution are brought into the order of the tensor cores (NHWC) and back.

**Source:** NVIDIA, "Convolutional Layers User's Guide" (tensor cores need NHWC; NCHW tensors
are transposed before and after) and configurations of NVIDIA DeepLearningExamples
(`memory_format: nhwc` for AMP alone); Ioffe and Szegedy, ICML 2015, for the two passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clustersim.catalog.layer_tables import LayerTableModel, TableLayer
from clustersim.cost.operators import Operator, convolution, element_bytes, elementwise, grouped_gemm
from clustersim.cost.training.block import Block, Part

__all__ = ["TablePass", "table_blocks"]

_NCHW = ("fp32", "tf32")
"""Precisions whose tensors keep the frameworks' default layout."""


@dataclass(frozen=True)
class TablePass:
    """One micro-batch of a layer table."""

    samples: int
    precision: str

    def bytes_of(self, elements: float) -> float:
        """Bytes of so many elements per sample."""
        return elements * self.samples * element_bytes(self.precision)

    def memory(self, name: str, elements: float) -> Operator:
        """Return a memory-bound kernel that moves so many elements per sample."""
        return elementwise(name, bytes_moved=self.bytes_of(elements), precision=self.precision)

    def convolution(self, layer: TableLayer, name: str, shape: tuple[int, int, int]) -> Operator:
        """Return the matrix product `shape` (of the whole batch) over this layer's tensors."""
        m, n, k = shape
        return convolution(
            name,
            m=m,
            n=n,
            k=k,
            input_elements=layer.input_elements * self.samples,
            output_elements=layer.output_elements * self.samples,
            precision=self.precision,
        )

    def transposes(self, name: str, *elements: float) -> tuple[Operator, ...]:
        """Return the kernels that bring tensors into the layout of the tensor cores and back."""
        if self.precision not in _NCHW:
            return ()
        return tuple(self.memory(f"{name}.layout", 2 * count) for count in elements)


def table_blocks(model: LayerTableModel, *, samples: int, precision: str) -> tuple[Block, ...]:
    """Return one block per layer of the table.

    Kept for the backward pass: what each convolution and linear layer read (the output of
    the kernel before it) and what each normalisation read.

    **Checked by:** tests/workloads/test_training_cost.py.
    """
    run = TablePass(samples, precision)
    return tuple(_block(run, layer, first=index == 0) for index, layer in enumerate(model.layers))


def _block(run: TablePass, layer: TableLayer, *, first: bool) -> Block:
    forward, backward = _KERNELS[layer.kind](run, layer)
    weight = tuple(operator for operator in backward if operator.name.endswith("weight_gradient"))
    # Nobody asks for the gradient of the input images.
    left_out = ("weight_gradient", "input_gradient") if first else ("weight_gradient",)
    output_bytes = run.bytes_of(layer.output_elements)
    return Block(
        name=layer.name,
        layer=None,
        part=Part(
            forward=tuple(forward),
            backward=tuple(operator for operator in backward if not operator.name.endswith(left_out)),
            weight=weight,
            kept_bytes=output_bytes,
            parameters=layer.parameters,
            flops=layer.flops_forward * run.samples,
        ),
        parameters_of_model=layer.parameters,
        output_bytes=output_bytes,
    )


_Kernels = tuple[list[Operator], list[Operator]]


def _conv(run: TablePass, layer: TableLayer) -> _Kernels:
    pixels, channels, inner = _shape(layer)
    rows = pixels * run.samples
    read, written = layer.input_elements, layer.output_elements
    name = layer.name
    forward = [run.convolution(layer, name, (rows, channels, inner)), *run.transposes(name, read, written)]
    backward = [
        run.convolution(layer, f"{name}.input_gradient", (rows, inner, channels)),
        run.convolution(layer, f"{name}.weight_gradient", (inner, channels, rows)),
        *run.transposes(f"{name}.backward", read, written, read),
    ]
    return forward, backward


def _linear(run: TablePass, layer: TableLayer) -> _Kernels:
    rows, outputs, inputs = _shape(layer)
    rows *= run.samples
    forward = [run.convolution(layer, layer.name, (rows, outputs, inputs))]
    backward = [
        run.convolution(layer, f"{layer.name}.input_gradient", (rows, inputs, outputs)),
        run.convolution(layer, f"{layer.name}.weight_gradient", (inputs, outputs, rows)),
    ]
    return forward, backward


def _norm(run: TablePass, layer: TableLayer) -> _Kernels:
    elements, name = layer.output_elements, layer.name
    forward = [run.memory(name, 3 * elements), run.memory(f"{name}.activation", 2 * elements)]
    backward = [
        run.memory(f"{name}.activation.backward", 3 * elements),
        run.memory(f"{name}.backward", 5 * elements),
    ]
    return forward, backward


def _add(run: TablePass, layer: TableLayer) -> _Kernels:
    elements, name = layer.output_elements, layer.name
    forward = [run.memory(name, 3 * elements), run.memory(f"{name}.activation", 2 * elements)]
    backward = [
        run.memory(f"{name}.activation.backward", 3 * elements),
        run.memory(f"{name}.backward", 3 * elements),
    ]
    return forward, backward


def _product(run: TablePass, layer: TableLayer) -> _Kernels:
    """Two activations of each sample are multiplied; each has a gradient of its own."""
    m, n, k = _shape(layer)
    shapes = {"": (m, n, k), ".left_gradient": (m, k, n), ".right_gradient": (k, n, m)}
    forward, *backward = (
        grouped_gemm(
            f"{layer.name}{suffix}", groups=run.samples, m=rows, n=columns, k=inner, precision=run.precision
        )
        for suffix, (rows, columns, inner) in shapes.items()
    )
    return [forward], backward


def _elementwise(run: TablePass, layer: TableLayer) -> _Kernels:
    """Backward reads the input and the gradient of the output, and writes that of the input."""
    read, written = layer.input_elements, layer.output_elements
    return (
        [run.memory(layer.name, read + written)],
        [run.memory(f"{layer.name}.backward", 2 * read + written)],
    )


def _embedding(run: TablePass, layer: TableLayer) -> _Kernels:
    """Rows are gathered; backward their gradients are added to the table's."""
    written, name = layer.output_elements, layer.name
    return [run.memory(name, 2 * written)], [run.memory(f"{name}.weight_gradient", 3 * written)]


def _pool(run: TablePass, layer: TableLayer) -> _Kernels:
    moved = layer.input_elements + layer.output_elements
    return [run.memory(layer.name, moved)], [run.memory(f"{layer.name}.backward", moved)]


def _shape(layer: TableLayer) -> tuple[int, int, int]:
    if layer.gemm is None:
        raise ValueError(f"layer {layer.name} of kind {layer.kind} has no matrix product")
    return layer.gemm


_KERNELS: dict[str, Callable[[TablePass, TableLayer], _Kernels]] = {
    "conv": _conv,
    "linear": _linear,
    "norm": _norm,
    "add": _add,
    "pool": _pool,
    "product": _product,
    "elementwise": _elementwise,
    "embedding": _embedding,
}
