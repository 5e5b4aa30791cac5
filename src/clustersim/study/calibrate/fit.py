"""Fitting efficiency curves to measured kernels: the least absolute error of the logarithm of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.efficiency import (
    CurveSet,
    DecodeAttentionCurve,
    GemmCurve,
    MemoryCurve,
    PrefillAttentionCurve,
)
from clustersim.cost.roofline import Roofline
from clustersim.study.validation.kernels.tables import Measurement

__all__ = ["STARTS", "fit", "log_errors", "unfitted"]

STARTS: Mapping[type, Mapping[str, Any]] = MappingProxyType(
    {
        GemmCurve: {
            "latency_s": 4e-6,
            "efficiency": 0.9,
            "tile_half": 25.0,
            "prologue_k": 200.0,
            "memory_efficiency": 0.75,
            "split_s": 3e-6,
        },
        PrefillAttentionCurve: {
            "latency_s": 8e-6,
            "efficiency": 0.6,
            "prologue_keys": 200.0,
            "memory_efficiency": 0.6,
        },
        DecodeAttentionCurve: {"latency_s": 1e-5, "memory_efficiency": 0.8, "saturating_blocks": 8.0},
        MemoryCurve: {"latency_s": 2e-6, "efficiency": 0.8},
    }
)
"""Where the search begins, by class of curve: numbers that an NVIDIA GPU may have."""

_SMALL_ERROR = 0.05
"""Below it, errors count by their square: the derivative of an absolute value ends at 0."""


def unfitted() -> CurveSet:
    """Return a set of the starting values, without products and memory-bound kernels."""
    decode = DecodeAttentionCurve(**STARTS[DecodeAttentionCurve])
    prefill = PrefillAttentionCurve(**STARTS[PrefillAttentionCurve])
    return CurveSet(
        name="unfitted",
        gemm={},
        expert_gemm={},
        prefill_attention=prefill,
        backward_attention=prefill,
        grouped_decode=decode,
        plain_decode=decode,
        memory={},
        sources={},
    )


def log_errors(
    rows: Sequence[Measurement], curves: CurveSet, accelerator_of: Callable[[str], Accelerator]
) -> np.ndarray:
    """Return log(predicted / measured) of each row."""
    rooflines = {name: Roofline(accelerator_of(name), curves=curves) for name in {row.device for row in rows}}
    predicted = [rooflines[row.device].stream(row.operators).seconds for row in rows]
    errors: np.ndarray = np.log(np.array(predicted) / np.array([row.seconds for row in rows]))
    return errors


def fit(
    begin: Any,
    rows: Sequence[Measurement],
    install: Callable[[Any], CurveSet],
    accelerator_of: Callable[[str], Accelerator],
    start: Mapping[str, float] | None = None,
) -> Any:
    """Return the curve that fits measured kernels.

    Parameters
    ----------
    begin
        A curve; its parameters outside `start` stay.
    install
        Puts a curve into a set.
    start
        The free parameters and where they begin, all above 0; default all of the class (`STARTS`).
    """
    start = STARTS[type(begin)] if start is None else start

    def curve(point: np.ndarray) -> Any:
        values = np.exp(np.clip(point, -30, 20)).tolist()
        return replace(begin, **dict(zip(start, values, strict=True)))

    def residuals(point: np.ndarray) -> np.ndarray:
        return log_errors(rows, install(curve(point)), accelerator_of)

    return curve(_levenberg_marquardt(residuals, np.log(np.array(list(start.values())))))


def _levenberg_marquardt(
    residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray, *, rounds: int = 40
) -> np.ndarray:
    """Minimise Σ|r| by re-weighted Levenberg-Marquardt with numerical derivatives."""
    point, damping = start, 1e-2
    r = residuals(point)
    for _ in range(rounds):
        weights = 1.0 / np.sqrt(np.maximum(np.abs(r), _SMALL_ERROR))
        steps = np.eye(point.size) * 1e-3
        jacobian = np.array([(residuals(point + h) - residuals(point - h)) / 2e-3 for h in steps]).T
        a, b = jacobian * weights[:, None], r * weights
        while damping < 1e8:
            trial = point - np.linalg.solve(a.T @ a + damping * np.eye(point.size), a.T @ b)
            r_trial = residuals(trial)
            if np.abs(r_trial).sum() < np.abs(r).sum() * (1 - 1e-6):
                point, r, damping = trial, r_trial, damping / 3
                break
            damping *= 3
        else:
            break
    return point
