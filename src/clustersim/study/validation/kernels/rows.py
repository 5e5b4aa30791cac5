"""Rows of `validate kernels`: a table of one's own, and the class of shapes that a kernel belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clustersim.cost.operators import (
    AttentionShape,
    GemmShape,
    Operator,
    backward_attention,
    decode_attention,
    elementwise,
    grouped_gemm,
    prefill_attention,
)
from clustersim.errors import CatalogError, InputError, did_you_mean
from clustersim.study.validation.framework import Row
from clustersim.study.validation.kernels.tables import Measurement

__all__ = ["COLUMNS", "KernelRow", "kernel_class", "table_rows"]

COLUMNS = (
    "table", "device", "kernel", "precision", "m", "n", "k", "batch", "queries", "keys", "heads",
    "kv_heads", "head_dim", "causal", "bytes", "time_us", "tflops",
)  # fmt: skip
"""Of a table of kernels. A row has the sizes of its kernel, and `time_us` or `tflops`; a product with a
`batch` is so many in one kernel."""

_MEMORY_KERNELS = ("elementwise", "activation", "norm", "fused_norm", "embedding", "optimizer")
_KERNELS = ("gemm", "attention", "attention_backward", "decode", *_MEMORY_KERNELS)

_THIN, _LARGE_FLOPS, _SKEW = 64, 2.0 * 2048**3, 4.0
_SHORT, _LONG = 1024, 4096


@dataclass(frozen=True)
class KernelRow(Row):
    """A row that also knows what errors are told by.

    Parameters
    ----------
    table, device, precision, kernel
        Where it stands, and which class of kernel it is (`kernel_class`).
    """

    table: str = ""
    device: str = ""
    precision: str = ""
    kernel: str = ""


def kernel_class(operators: Sequence[Operator]) -> str:
    """Return the class of shapes that a kernel belongs to.

    Products are thin (at most 64 rows), tall (four times more rows than columns), wide (the
    reverse), else large from 2·2048³ FLOPs on, else small. Attention is told by its length,
    everything that memory bounds by its kind.
    """
    if any(operator.kind == "expert_gemm" for operator in operators):
        return "experts of a layer"
    (operator,) = operators
    if isinstance(operator.shape, GemmShape):
        return f"{_product_class(operator.shape, operator.flops)} product"
    if isinstance(operator.shape, AttentionShape):
        keys = operator.shape.keys
        length = "to 1k" if keys <= _SHORT else "to 4k" if keys <= _LONG else "over 4k"
        names = {"attention_prefill": "attention", "attention_backward": "attention backward"}
        return f"{names.get(operator.kind, 'decode attention')}, {length}"
    return operator.kind


def _product_class(shape: GemmShape, flops: float) -> str:
    if shape.m <= _THIN:
        return "thin"
    if shape.m >= _SKEW * shape.n:
        return "tall"
    if shape.n >= _SKEW * shape.m:
        return "wide"
    return "large" if flops >= _LARGE_FLOPS else "small"


def table_rows(rows: Sequence[Mapping[str, str]]) -> Iterator[Measurement]:
    """Read a table with the columns `COLUMNS`.

    Raises
    ------
    InputError
        For an unknown kernel, and for a number that is none.
    """
    for number, row in enumerate(rows, start=2):
        at = f"row {number}"
        try:
            operator = _operator(row, at)
        except CatalogError as error:
            yield Measurement(row["table"], at, row["device"], (), 0.0, str(error))
            continue
        if row["time_us"].strip():
            seconds = _number(row, "time_us", at) * 1e-6
        else:
            seconds = operator.flops / (_number(row, "tflops", at) * 1e12)
        yield Measurement(row["table"], at, row["device"], (operator,), seconds)


def _operator(row: Mapping[str, str], at: str) -> Operator:
    kernel, precision = row["kernel"], row["precision"]
    if kernel not in _KERNELS:
        raise InputError(f"{at}: there is no kernel '{kernel}'.{did_you_mean(kernel, _KERNELS)}")
    if kernel == "gemm":
        m, n, k = (_number(row, name, at) for name in "mnk")
        groups = _number(row, "batch", at) if row["batch"].strip() else 1.0
        return grouped_gemm(kernel, groups=groups, m=m, n=n, k=k, precision=precision)
    if kernel not in _MEMORY_KERNELS:
        return _attention(row, kernel, at)
    size_bytes = _number(row, "bytes", at)
    return elementwise(kernel, kind=kernel, bytes_moved=size_bytes, precision=precision)  # type: ignore[arg-type]


def _attention(row: Mapping[str, str], kernel: str, at: str) -> Operator:
    batch, queries, keys = (_number(row, name, at) for name in ("batch", "queries", "keys"))
    shape: dict[str, Any] = {name: _number(row, name, at) for name in ("heads", "kv_heads", "head_dim")}
    shape["precision"] = row["precision"]
    if kernel == "decode":
        return decode_attention(kernel, batch=batch, context_sum=batch * keys, **shape)
    past, causal = keys - queries, row["causal"] != "no"
    forward = prefill_attention(kernel, batch=batch, queries=queries, past=past, causal=causal, **shape)
    return forward if kernel == "attention" else backward_attention(kernel, forward)


def _number(row: Mapping[str, str], column: str, at: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise InputError(f"{at}: {column} is '{row[column]}', not a number above 0")
    return value
