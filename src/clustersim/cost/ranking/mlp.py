"""Linear layers of ranking models and the small kernels around their products.

A framework that launches every operation by itself (eager PyTorch) has kernels of their own for
activations, their gradients and the sums of bias gradients. One with fused layers (HugeCTR,
TensorRT, compiled PyTorch) does them in the epilogue of a product and pads rows to whole cache lines.

**Source:** PyTorch `torch.nn.Linear` (`addmm` adds the bias in the product's epilogue);
NVIDIA-Merlin/HugeCTR, HugeCTR/src/layers/mlp_layer.cu (bias, activation and their gradients in the
epilogues of cuBLASLt).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clustersim.catalog.ranking_layers import LinearLayer
from clustersim.cost.operators import MemoryKind, Operator, element_bytes, elementwise, gemm, padded
from clustersim.cost.training.block import gradient_products

__all__ = ["DenseRun", "linear_backward", "linear_forward", "stack_backward", "stack_forward"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseRun:
    """What all kernels of one pass have in common.

    Parameters
    ----------
    batch
        Samples.
    queries
        Distinct users among them; a candidate of the same user shares the user's history.
    precision
        Of products and of what lies between them.
    fused
        Whether epilogues of products take in the small kernels around them.
    """

    batch: float
    queries: float
    precision: str
    fused: bool

    def product(self, name: str, *, m: float, n: float, k: float, count: float = 1) -> Operator:
        """Return a matrix product; its rows are padded where layers are fused."""
        product = gemm(name, m=m, n=n, k=k, precision=self.precision, count=count)
        return padded(product) if self.fused else product

    def kernel(
        self,
        name: str,
        *,
        elements: float,
        flops: float = 0.0,
        count: float = 1,
        kind: MemoryKind = "elementwise",
    ) -> Operator:
        """Return a kernel that reads and writes so many elements, and computes so much, per sample."""
        size = self.batch * elements * element_bytes(self.precision)
        return elementwise(
            name,
            bytes_moved=size,
            precision=self.precision,
            kind=kind,
            flops=self.batch * flops,
            count=count,
        )


def linear_forward(run: DenseRun, layer: LinearLayer, *, activation: bool = True) -> tuple[Operator, ...]:
    """Return the product of a layer and, where not fused, the kernel of its activation."""
    rows = layer.rows * run.batch
    product = run.product(layer.name, m=rows, n=layer.outputs, k=layer.inputs)
    if run.fused or not activation:
        return (product,)
    return (product, run.kernel(f"{layer.name}.activation", elements=2.0 * layer.rows * layer.outputs))


def linear_backward(
    run: DenseRun, layer: LinearLayer, *, activation: bool = True, input_gradient: bool = True
) -> tuple[Operator, ...]:
    """Return the kernels of a layer's backward pass.

    *Equation:* gradient of the inputs (rows×outputs)·(outputs×inputs), of the weights
    (inputs×rows)·(rows×outputs). Where not fused, the activation's gradient reads the gradient and
    the result and writes one tensor, and the bias gradient reads that once more.
    """
    elements = float(layer.rows * layer.outputs)
    operators: list[Operator] = []
    if not run.fused and activation:
        operators.append(run.kernel(f"{layer.name}.activation_gradient", elements=3.0 * elements))
    if not run.fused and layer.bias:
        operators.append(run.kernel(f"{layer.name}.bias_gradient", elements=elements))
    of_input, of_weight = gradient_products(
        run.product(layer.name, m=layer.rows * run.batch, n=layer.outputs, k=layer.inputs)
    )
    return (*operators, of_input, of_weight) if input_gradient else (*operators, of_weight)


def stack_forward(run: DenseRun, layers: Iterable[LinearLayer]) -> tuple[Operator, ...]:
    """Return layers one after the other, each with its activation."""
    return tuple(operator for layer in layers for operator in linear_forward(run, layer))


def stack_backward(
    run: DenseRun, layers: Sequence[LinearLayer], *, input_gradient: bool = True
) -> tuple[Operator, ...]:
    """Return the backward pass from the last layer to the first.

    `input_gradient` says whether anything before the first layer learns; the dense features do not.
    """
    return tuple(
        operator
        for number, layer in reversed(list(enumerate(layers)))
        for operator in linear_backward(run, layer, input_gradient=input_gradient or number > 0)
    )
