"""From measured kernels to an accelerator and its curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.efficiency import CurveSet, GemmCurve, MemoryCurve, PrefillAttentionCurve
from clustersim.cost.operators import AttentionShape
from clustersim.study.calibrate.backends import Backend
from clustersim.study.calibrate.fit import STARTS, fit, log_errors, unfitted
from clustersim.study.calibrate.measure import Measured
from clustersim.study.validation.kernels.tables import Measurement

__all__ = ["Calibration", "calibrated"]

_ATTENTION = {**STARTS[PrefillAttentionCurve], "softmax_width": 30.0}
"""Heads of several widths are measured, which the public tables do not have."""


@dataclass(frozen=True)
class Calibration:
    """An accelerator with curves, and how well these fit what was measured.

    Parameters
    ----------
    median_error
        Of the absolute relative errors of all kernels.
    like
        Name of the catalogue's accelerator whose datasheet was taken; None where peaks are
        the best that was measured.
    """

    accelerator: Accelerator
    curves: CurveSet
    measured: Measured
    median_error: float
    software: str
    like: str | None


def calibrated(backend: Backend, measured: Measured, *, like: Accelerator | None, name: str) -> Calibration:
    """Fit the curves of a device."""
    accelerator = _accelerator(backend, measured, like, name)
    curves = _curves(measured.rows, accelerator)
    errors = np.abs(np.expm1(log_errors(measured.rows, curves, lambda _: accelerator)))
    like_name = like.name if like is not None else None
    return Calibration(accelerator, curves, measured, float(np.median(errors)), backend.software, like_name)


def _accelerator(backend: Backend, measured: Measured, like: Accelerator | None, name: str) -> Accelerator:
    """Return datasheet values of `like`; without one the best that was measured takes their place."""
    products = _of(measured.rows, "gemm")
    peaks = {
        precision: max(_rate(row) for row in products if row.operators[0].precision == precision)
        for precision in backend.precisions
    }
    largest = max(_of(measured.rows, "elementwise"), key=lambda row: row.operators[0].bytes_moved)
    stream = largest.operators[0].bytes_moved / largest.seconds
    if like is not None:
        peaks = {key: like.peak_flops.get(key, rate) for key, rate in peaks.items()}
    return Accelerator(
        name=name,
        vendor=backend.vendor,
        year=like.year if like else 0,
        peak_flops=peaks,
        best_product_flops={},
        sustained_product_flops=measured.sustained_flops,
        memory_bytes=backend.memory_bytes,
        memory_bandwidth_bytes_per_s=like.memory_bandwidth_bytes_per_s if like else stream,
        scale_up_bandwidth_bytes_per_s=(
            like.scale_up_bandwidth_bytes_per_s if like else measured.all_reduce_bytes_per_s
        ),
        compute_units=backend.compute_units,
        collective_units=like.collective_units if like else {},
        tdp_w=like.tdp_w if like else None,
        kernel_launch_s=measured.launch_s,
        efficiency=name,
        sources={},
    )


def _of(rows: Iterable[Measurement], kind: str) -> list[Measurement]:
    return [row for row in rows if row.operators[0].kind == kind]


def _rate(row: Measurement) -> float:
    return row.operators[0].flops / row.seconds


def _curves(rows: Sequence[Measurement], accelerator: Accelerator) -> CurveSet:
    curves = unfitted()
    for precision in accelerator.peak_flops:
        products = [row for row in _of(rows, "gemm") if row.operators[0].precision == precision]
        base = curves
        found = _fitted(
            GemmCurve(**STARTS[GemmCurve]),
            products,
            lambda curve: replace(base, gemm={**base.gemm, precision: curve}),  # noqa: B023
            accelerator,
        )
        curves = replace(curves, gemm={**curves.gemm, precision: found})
    curves = replace(curves, expert_gemm=curves.gemm)
    return _attention_curves(rows, _memory_curves(rows, curves, accelerator), accelerator)


def _memory_curves(rows: Sequence[Measurement], curves: CurveSet, accelerator: Accelerator) -> CurveSet:
    for kind in ("elementwise", "norm"):
        base = curves
        found = _fitted(
            MemoryCurve(**STARTS[MemoryCurve]),
            _of(rows, kind),
            lambda curve: replace(base, memory={**base.memory, kind: curve}),  # noqa: B023
            accelerator,
        )
        curves = replace(curves, memory={**curves.memory, kind: found})
    stream, norm = curves.memory["elementwise"], curves.memory["norm"]
    alike = {"activation": stream, "embedding": stream, "optimizer": stream, "fused_norm": norm}
    return replace(curves, memory={**curves.memory, **alike})


def _attention_curves(rows: Sequence[Measurement], curves: CurveSet, accelerator: Accelerator) -> CurveSet:
    decode = _of(rows, "attention_decode")
    forward = _fitted(
        curves.prefill_attention,
        _of(rows, "attention_prefill"),
        lambda curve: replace(curves, prefill_attention=curve),
        accelerator,
    )
    backward_rows, backward = _of(rows, "attention_backward"), forward
    if backward_rows:
        backward = _fitted(
            forward, backward_rows, lambda curve: replace(curves, backward_attention=curve), accelerator
        )
    grouped, plain = (
        _fitted(
            curves.plain_decode,
            [row for row in decode if _is_grouped(row) is with_groups],
            lambda curve: replace(curves, grouped_decode=curve, plain_decode=curve),
            accelerator,
        )
        for with_groups in (True, False)
    )
    return replace(
        curves,
        prefill_attention=forward,
        backward_attention=backward,
        grouped_decode=grouped,
        plain_decode=plain,
    )


def _is_grouped(row: Measurement) -> bool:
    shape = row.operators[0].shape
    assert isinstance(shape, AttentionShape)
    return shape.kv_heads < shape.heads


def _fitted(
    begin: Any,
    rows: Sequence[Measurement],
    install: Callable[[Any], CurveSet],
    accelerator: Accelerator,
) -> Any:
    """Fit a curve; no share of a peak is above 1."""
    start = _ATTENTION if isinstance(begin, PrefillAttentionCurve) else None
    found = fit(begin, rows, install, lambda _: accelerator, start)
    shares = [name for name in ("efficiency", "memory_efficiency") if hasattr(found, name)]
    return replace(found, **{name: min(1.0, getattr(found, name)) for name in shares})
