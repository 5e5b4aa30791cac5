"""Embedding look-ups as kernels: what moves through memory for the rows of a batch, and for their update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.operators import Operator, RowShape, element_bytes, elementwise
from clustersim.cost.ranking.optimizer import EMBEDDING_OPTIMIZERS, EmbeddingOptimizerName
from clustersim.cost.ranking.popularity import Popularity

__all__ = [
    "INDEX_BYTES",
    "OFFSET_BYTES",
    "MovedBytes",
    "RowWork",
    "dense_update",
    "lookup",
    "lookup_bytes",
    "sort_of_indices",
    "update",
    "update_bytes",
]

Numbers = NDArray[np.float64]

INDEX_BYTES = 8
"""Bytes of an index where nobody says otherwise (int64: PyTorch, and TorchRec's `BIGINT_DTYPE`)."""
OFFSET_BYTES = 8
"""Bytes of where a bag begins."""
_WEIGHT_BYTES = 4
_POSITION_BYTES = 4
"""Which bag a sorted index came from (FBGEMM's `infos`)."""

MEMORY_ATOM_BYTES = 64
"""Least that a scattered read takes from memory (L2 fetch granularity of NVIDIA GPUs from Ampere on)."""
LEAST_CACHE_BYTES = 104
"""Least that a row takes of the cache's rate, however short.

FBGEMM's look-ups of 32 to 128 fp32 elements in cached tables all move 4.3 to 4.7 TB/s; those of 16 elements
take as long as if they had 26 (meta-pytorch/torchrec pull request 2365)."""

_ALL = slice(None)

RowKind = Literal["embedding_bag", "embedding_update"]

_DIGIT_BITS = 8
"""Bits that one pass of a radix sort orders by (CUB)."""


@dataclass(frozen=True, eq=False)
class RowWork:
    """Look-ups of one device in the tables, or parts of tables, that it holds, all in one fused kernel.

    All are arrays with one number per table or part.

    Parameters
    ----------
    columns, row_bytes
        Of a row as it lies here: a column-wise part has some columns only.
    bags, lookups
        Of the batch: bags (samples that look something up) and rows looked up here.
    outputs
        Vectors that leave: one per bag, or one per look-up where nothing is pooled.
    part
        Share of the table's rows that lies here; look-ups spread over parts alike.
    popularity
        Of the rows of the whole tables.
    bytes_per_index
        As indices are read.
    """

    columns: Numbers
    row_bytes: Numbers
    bags: Numbers
    lookups: Numbers
    outputs: Numbers
    part: Numbers
    popularity: Popularity
    bytes_per_index: int = INDEX_BYTES

    def __len__(self) -> int:
        return len(self.columns)

    def distinct_rows(self) -> Numbers:
        """Return how many different rows are looked up."""
        return self.part * self.popularity.distinct_rows(self.lookups / self.part)

    def rows_read(self, cache_bytes: float) -> Numbers:
        """Return how many rows come from memory, beside a cache that one table after the other uses."""
        held_rows = cache_bytes / self.row_bytes / self.part
        return self.part * self.popularity.rows_read(self.lookups / self.part, held_rows)


@dataclass(frozen=True, eq=False)
class MovedBytes:
    """What a kernel moves for each table: in all, and as the device feels it (`RowShape`); its FLOPs."""

    least: Numbers
    memory: Numbers
    cache: Numbers
    flops: Numbers

    def summed(self, group: NDArray[np.int64], groups: int, of: NDArray[np.intp]) -> MovedBytes:
        """Return sums by group: member n belongs to `group[n]` and moves what entry `of[n]` does."""

        def by_group(values: Numbers) -> Numbers:
            return np.bincount(group, weights=values[of], minlength=groups).astype(float)

        return MovedBytes(*map(by_group, (self.least, self.memory, self.cache, self.flops)))

    def lookup(self, precision: str, entries: slice | int = _ALL) -> Operator:
        """Return the look-up kernel over some entries."""
        return self._operator("embedding look-up", "embedding_bag", precision, entries)

    def update(self, precision: str, entries: slice | int = _ALL) -> Operator:
        """Return the update kernel over some entries."""
        return self._operator("embedding update", "embedding_update", precision, entries)

    def _operator(self, name: str, kind: RowKind, precision: str, entries: slice | int) -> Operator:
        return Operator(
            name=name,
            kind=kind,
            flops=float(self.flops[entries].sum()),
            bytes_moved=float(self.least[entries].sum()),
            precision=precision,
            shape=RowShape(float(self.memory[entries].sum()), float(self.cache[entries].sum())),
        )


def lookup_bytes(
    work: RowWork, *, output_precision: str, cache_bytes: float, weighted: bool = False
) -> MovedBytes:
    """Return what a look-up moves for each table.

    *Equation.* n look-ups of rows of b bytes, in B bags, with m outputs of d elements of e bytes:
    n·i + B·8 (indices of i bytes, and offsets) + r·b (rows) + m·d·e (outputs); with weights n·4 more.
    r rows come from memory (`RowWork.rows_read`); n go through the cache. A scattered row counts for 64
    bytes of memory and 104 of cache traffic at least. FLOPs n·d, twice that with weights.

    Parameters
    ----------
    cache_bytes
        Last-level cache of the device.

    **Valid when** rows are read as they come, tables one after the other (FBGEMM's table-batched kernels,
    HugeCTR's). **Checked by:** tests/cost/ranking/test_embedding_bytes.py.
    """
    streamed = work.lookups * work.bytes_per_index + work.bags * OFFSET_BYTES
    streamed += work.outputs * work.columns * element_bytes(output_precision)
    if weighted:
        streamed = streamed + work.lookups * _WEIGHT_BYTES
    read = work.rows_read(cache_bytes)
    return MovedBytes(
        least=streamed + read * work.row_bytes,
        memory=streamed + read * np.maximum(work.row_bytes, MEMORY_ATOM_BYTES),
        cache=streamed + work.lookups * np.maximum(work.row_bytes, LEAST_CACHE_BYTES),
        flops=work.lookups * work.columns * (2.0 if weighted else 1.0),
    )


def lookup(work: RowWork, *, output_precision: str, cache_bytes: float, weighted: bool = False) -> Operator:
    """Return the one kernel that looks up, and pools, all tables of `work`; see `lookup_bytes`."""
    moved = lookup_bytes(work, output_precision=output_precision, cache_bytes=cache_bytes, weighted=weighted)
    return moved.lookup(output_precision)


def update_bytes(
    work: RowWork, *, gradient_precision: str, optimizer: EmbeddingOptimizerName, cache_bytes: float
) -> MovedBytes:
    """Return what the fused backward pass and update move for each table, the sorting apart.

    *Equation.* u different rows of b bytes and d columns, looked up n times from m outputs, whose
    gradients have g bytes each: u·2·(b + s) (rows and states of s bytes, read and written) and the
    gradients: m·g once, and (n − m)·g·(1 − min(1, cache/(m·g))) again for outputs of several look-ups
    that have left the cache since. Through the cache: n·g + u·2·(b + s).
    A number per row counts for 64 bytes of memory.

    **Checked by:** tests/cost/ranking/test_embedding_bytes.py.
    """
    rule = EMBEDDING_OPTIMIZERS[optimizer]
    distinct = work.distinct_rows()
    gradient = work.columns * element_bytes(gradient_precision)
    kept = np.minimum(1.0, cache_bytes / np.maximum(work.outputs * gradient, 1.0))
    first = np.minimum(work.outputs, work.lookups)
    gradients = first + (work.lookups - first) * (1.0 - kept)
    state = np.array([rule.state_bytes(columns) for columns in work.columns.tolist()])
    indices = work.lookups * (work.bytes_per_index + _POSITION_BYTES)
    least = gradients * gradient + 2.0 * distinct * (work.row_bytes + state) + indices
    padded = np.maximum(work.row_bytes, MEMORY_ATOM_BYTES) + np.where(
        state > 0.0, np.maximum(state, MEMORY_ATOM_BYTES), 0.0
    )
    return MovedBytes(
        least=least,
        memory=gradients * np.maximum(gradient, MEMORY_ATOM_BYTES) + 2.0 * distinct * padded + indices,
        cache=work.lookups * np.maximum(gradient, LEAST_CACHE_BYTES) + 2.0 * distinct * padded + indices,
        flops=work.lookups * work.columns,
    )


def sort_of_indices(lookups: float, rows: float, bytes_per_index: int = INDEX_BYTES) -> Operator:
    """Return the kernels that order the indices of a batch by row, over tables of so many rows in all.

    *Equation.* n indices of i bytes with 4 of where each came from are made (read i, write i + 4), ordered 8
    bits at a time (read and write i + 4 each) and counted (read i): ⌈log₂(rows)/8⌉ passes.

    **Source:** FBGEMM `transpose_embedding_input`, which calls CUB's radix sort.
    """
    pair = bytes_per_index + _POSITION_BYTES
    passes = math.ceil(math.log2(max(rows, 2.0)) / _DIGIT_BITS)
    moved = lookups * (bytes_per_index + pair + 2 * pair * passes + bytes_per_index)
    return elementwise("sort of indices", bytes_moved=moved, precision="fp32")


def update(
    work: RowWork, *, gradient_precision: str, optimizer: EmbeddingOptimizerName, cache_bytes: float
) -> tuple[Operator, Operator]:
    """Return the kernels of the backward pass: indices are sorted by row, then rows updated one by one."""
    rows = float((work.popularity.rows.sum(axis=1) * work.part).sum())
    moved = update_bytes(
        work, gradient_precision=gradient_precision, optimizer=optimizer, cache_bytes=cache_bytes
    )
    ordered = sort_of_indices(float(work.lookups.sum()), rows, work.bytes_per_index)
    return ordered, moved.update(gradient_precision)


def dense_update(
    rows: Numbers, columns: Numbers, *, lookups: Numbers, optimizer: EmbeddingOptimizerName
) -> tuple[Operator, Operator]:
    """Return the backward pass of tables that every device holds: gradient of all rows, then the update.

    *Equation.* Gradients of n look-ups are read and added to (read and written) those of R·d elements,
    which were cleared (written): n·d·12 + R·d·4; between the two kernels they are all-reduced.
    The update reads them and reads and writes weights and states: R·(d·4 + 2·(d·4 + s)).
    """
    rule = EMBEDDING_OPTIMIZERS[optimizer]
    elements = float((rows * columns).sum())
    states = sum(row * rule.state_bytes(width) for row, width in zip(rows, columns, strict=True))
    gradient = elementwise(
        "gradient of replicated tables",
        bytes_moved=12.0 * float((lookups * columns).sum()) + 4.0 * elements,
        precision="fp32",
    )
    step = elementwise(
        "update of replicated tables",
        kind="optimizer",
        bytes_moved=12.0 * elements + 2.0 * float(states),
        precision="fp32",
    )
    return gradient, step
