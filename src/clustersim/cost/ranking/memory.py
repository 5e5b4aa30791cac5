"""Bytes of embedding rows and of what is kept beside them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clustersim.catalog.ranking_models import EMBEDDING_ELEMENT_BYTES
from clustersim.errors import CatalogError, did_you_mean

__all__ = ["SCALE_BYTES", "row_bytes"]

Columns = TypeVar("Columns", float, NDArray[np.float64])

SCALE_BYTES = 4.0
"""Scale and bias of a quantised row, both fp16 (FBGEMM, `IntNBitTableBatchedEmbeddingBagsCodegen`)."""

_SCALED = ("int8", "int4")


def row_bytes(columns: Columns, precision: str) -> Columns:
    """Return the bytes of a row of so many columns, with the scale and bias of a quantised one.

    Raises
    ------
    CatalogError
        For an unknown precision.
    """
    if precision not in EMBEDDING_ELEMENT_BYTES:
        hint = did_you_mean(precision, EMBEDDING_ELEMENT_BYTES)
        raise CatalogError(f"unknown precision of embedding rows '{precision}'.{hint}")
    scale = SCALE_BYTES if precision in _SCALED else 0.0
    return columns * EMBEDDING_ELEMENT_BYTES[precision] + scale
