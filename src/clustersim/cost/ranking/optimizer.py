"""Optimizers of embedding tables: what they keep per row, and what an update of some rows moves."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["EMBEDDING_OPTIMIZERS", "EmbeddingOptimizer", "EmbeddingOptimizerName"]

EmbeddingOptimizerName = Literal["sgd", "rowwise-adagrad", "adagrad", "adam", "partial-rowwise-adam"]

_STATE_BYTES = 4
"""States are fp32, whatever the precision of the rows (FBGEMM, momentum tensors of split embeddings)."""


@dataclass(frozen=True)
class EmbeddingOptimizer:
    """One optimizer, fused with the backward pass: only the rows looked up are updated.

    Parameters
    ----------
    numbers_per_element, numbers_per_row
        fp32 numbers kept for each element of a row, and for a row as a whole.
    """

    name: EmbeddingOptimizerName
    numbers_per_element: int
    numbers_per_row: int
    source: str

    def state_bytes(self, columns: float) -> float:
        """Return the bytes kept for one row of so many columns."""
        return _STATE_BYTES * (self.numbers_per_element * columns + self.numbers_per_row)


_SGD = EmbeddingOptimizer("sgd", 0, 0, "Plain stochastic gradient descent keeps nothing")
_ROWWISE_ADAGRAD = EmbeddingOptimizer(
    "rowwise-adagrad",
    0,
    1,
    "Mean of the squared gradient over the row, summed over steps: FBGEMM EXACT_ROWWISE_ADAGRAD; Mudigere et "
    "al., ISCA 2022 (arXiv:2104.05158)",
)
_ADAGRAD = EmbeddingOptimizer("adagrad", 1, 0, "Duchi et al., JMLR 12, 2011: FBGEMM EXACT_ADAGRAD")
_ADAM = EmbeddingOptimizer("adam", 2, 0, "Kingma and Ba, ICLR 2015: both moments per element; FBGEMM ADAM")
_PARTIAL_ROWWISE_ADAM = EmbeddingOptimizer(
    "partial-rowwise-adam", 1, 1, "First moment per element, second per row: FBGEMM PARTIAL_ROWWISE_ADAM"
)

EMBEDDING_OPTIMIZERS = MappingProxyType(
    {each.name: each for each in (_SGD, _ROWWISE_ADAGRAD, _ADAGRAD, _ADAM, _PARTIAL_ROWWISE_ADAM)}
)
"""Optimizers by name."""
