"""Kernels that a framework runs beside those of the model: copies, casts, masks, gradients of rows.

A model says which products and look-ups a step has. Frameworks add passes over memory: pooled embeddings are
put into another order after they have travelled, a mask is drawn for dropout, 32-bit rows are cast for 16-bit
products, gradients of rows are written and scaled before they are added. Each is counted in
`ranking_frameworks.yaml`, from the framework's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.catalog.ranking_frameworks import RankingFramework
from clustersim.catalog.ranking_layers import linear_layers
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import Operator, element_bytes, elementwise

__all__ = ["SideKernels"]

_MIXED = ("fp16", "bf16")
_SINGLE_BYTES = 4.0
_MASK_BYTES = 1.0
_SORTED_KEY_BYTES = 8.0
_SORT_PASSES = 8.0
"""Of a radix sort over all 64 bits of an index, 8 at a time: torch.nn.Embedding's dense backward pass."""


@dataclass(frozen=True, kw_only=True)
class SideKernels:
    """What a framework adds to the kernels of one rank.

    Parameters
    ----------
    batch
        Samples of the rank.
    precision
        Of the dense part.

    **Source:** `RankingFramework.sources`.
    **Checked by:** tests/workloads/ranking/test_side_kernels.py.
    """

    framework: RankingFramework
    model: RankingModel
    batch: float
    precision: str

    def beside(self, stage: str, operators: Sequence[Operator]) -> Sequence[Operator]:
        """Return what one direction of a stage of the dense part has besides its own `operators`."""
        found: list[Operator] = []
        if stage == "interaction":
            found += self._copies()
            found += self._casts(operators)
        if stage == "top" and self.framework.dropout:
            found += self._masks()
        return found

    def row_gradients(self, elements: float, *, lookups: float) -> Sequence[Operator]:
        """Return passes over the gradients of looked-up rows, and the sort of PyTorch's dense gradients.

        *Equation.* Each pass reads or writes 4 bytes of each element; unscaling of sparse gradients in 16-bit
        training is two more. A sort reads and writes index and position of n look-ups eight times: n·8·2·2·8.
        """
        passes = self.framework.row_gradient_passes
        if self._is_scaled and self.framework.embedding_gradient == "sparse":
            passes += 2.0
        found: list[Operator] = []
        if passes and elements:
            found.append(_moved("gradients of rows", passes * _SINGLE_BYTES * elements))
        if self.framework.embedding_gradient == "dense":
            pair = 2.0 * _SORTED_KEY_BYTES
            found.append(_moved("sort of indices", lookups * pair * 2.0 * _SORT_PASSES))
        return found

    def whole_gradients(self, gradient_bytes: float, *, ranks: int) -> Sequence[Operator]:
        """Return copies of gradients of whole parameters into buckets and back, and their unscaling."""
        passes = 4.0 if self.framework.bucket_copies and ranks > 1 else 0.0
        if self._is_scaled:
            passes += 2.0
        return (_moved("gradients in buckets", passes * gradient_bytes),) if passes * gradient_bytes else ()

    @property
    def _is_scaled(self) -> bool:
        return self.framework.loss_scaling and self.precision in _MIXED

    def _copies(self) -> Iterator[Operator]:
        """Copies of pooled embeddings, each read and written."""
        if self.framework.pooled_copies:
            elements = self.batch * self.model.pooled_elements
            size = 2.0 * self.framework.pooled_copies * elements * self._feature_bytes
            yield _moved("copies of pooled embeddings", size)

    def _casts(self, operators: Sequence[Operator]) -> Iterator[Operator]:
        """Casts of pooled embeddings that stay in 32 bit up to the first product; others move twice."""
        if self.framework.autocast and self.precision in _MIXED:
            streamed = sum(each.bytes_moved * each.count for each in operators if each.kind == "elementwise")
            cast = self.batch * self.model.pooled_elements * (_SINGLE_BYTES + element_bytes(self.precision))
            yield _moved("casts of embeddings", streamed + cast)

    def _masks(self) -> Iterator[Operator]:
        """Dropout of each layer of the top MLP: a mask of bytes, and elements read and written."""
        outputs = sum(layer.outputs for layer in linear_layers(self.model) if layer.part == "top")
        moved = 2.0 * element_bytes(self.precision) + _MASK_BYTES
        yield _moved("dropout", self.batch * outputs * moved)

    @property
    def _feature_bytes(self) -> float:
        return _SINGLE_BYTES if self.framework.autocast else float(element_bytes(self.precision))


def _moved(name: str, size_bytes: float) -> Operator:
    return elementwise(name, bytes_moved=size_bytes, precision="fp32")
