"""Running the kernels of a plan, as rows of the kind that the public tables give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clustersim.cost.operators import (
    Operator,
    backward_attention,
    decode_attention,
    element_bytes,
    elementwise,
    gemm,
    prefill_attention,
)
from clustersim.study.calibrate.backends import Backend, Kernel
from clustersim.study.calibrate.plan import Plan
from clustersim.study.validation.kernels.tables import Measurement

__all__ = ["Measured", "measure"]

Pair = tuple[Operator, Kernel]


@dataclass(frozen=True)
class Measured:
    """What a calibration found.

    Parameters
    ----------
    rows
        Times of kernels.
    sustained_flops
        By precision, what the largest product holds.
    launch_s
        Interval between launches.
    all_reduce_bytes_per_s
        Bus bandwidth over several devices; None with one.
    """

    rows: tuple[Measurement, ...]
    sustained_flops: dict[str, float]
    launch_s: float
    all_reduce_bytes_per_s: float | None


def measure(backend: Backend, plan: Plan, *, tell: Callable[[str], None] = lambda text: None) -> Measured:
    """Run every kernel of a plan; `tell` hears what is being run."""
    rows = []
    for operator, kernel in _kernels(backend, plan):
        tell(f"{operator.name} {operator.precision}")
        seconds = backend.seconds(kernel)
        rows.append(Measurement("calibration", operator.name, backend.device_name, (operator,), seconds))
    tell("largest products, without a pause")
    sustained = {precision: _held(backend, plan, precision) for precision in backend.precisions}
    return Measured(tuple(rows), sustained, backend.launch_s(), backend.all_reduce_bytes_per_s())


def _held(backend: Backend, plan: Plan, precision: str) -> float:
    m, (n, k) = plan.rows[-1], max(plan.weights, key=lambda shape: shape[0] * shape[1])
    kernel = backend.product(m, n, k, precision=precision)
    return 2.0 * m * n * k / backend.held_seconds(kernel, hold_s=plan.hold_s)


def _kernels(backend: Backend, plan: Plan) -> Iterator[Pair]:
    for precision in backend.precisions:
        for n, k in plan.weights:
            for m in plan.rows:
                operator = gemm(f"product {m} x {n} x {k}", m=m, n=n, k=k, precision=precision)
                yield operator, backend.product(m, n, k, precision=precision)
    yield from _attention(backend, plan)
    yield from _streams(backend, plan)


def _attention(backend: Backend, plan: Plan) -> Iterator[Pair]:
    for heads, kv_heads, width in plan.heads:
        shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": width}
        common: dict[str, Any] = {**shape, "precision": backend.attention_precision}
        for length in plan.lengths:
            batch = max(1, plan.attention_tokens // length)
            name = f"attention {batch} x {length}, {heads} of {width}"
            forward = prefill_attention(
                name, batch=batch, queries=length, causal=backend.skips_masked, **common
            )
            yield forward, backend.attention(batch=batch, queries=length, keys=length, **shape)
            backward = backend.attention_backward(batch=batch, queries=length, **shape)
            if backward is not None:
                yield backward_attention(f"{name}, backward", forward), backward
        for context in plan.contexts:
            batch = plan.decode_batch
            name = f"decode {batch} x {context}, {heads} of {width}"
            operator = decode_attention(name, batch=batch, context_sum=batch * context, **common)
            yield operator, backend.attention(batch=batch, queries=1, keys=context, **shape)


def _streams(backend: Backend, plan: Plan) -> Iterator[Pair]:
    precision = backend.attention_precision
    for size_bytes in plan.copies:
        copy = elementwise(f"copy of {size_bytes} bytes", bytes_moved=2.0 * size_bytes, precision=precision)
        yield copy, backend.copy(size_bytes)
    for rows, width in plan.norms:
        moved = 2.0 * rows * width * element_bytes(precision)
        norm = elementwise(f"norm {rows} x {width}", kind="norm", bytes_moved=moved, precision=precision)
        yield norm, backend.norm(rows, width)
