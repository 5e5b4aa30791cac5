"""Writes a calibration as a device file (`clustersim.catalog.device_files` reads it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from clustersim.catalog.accelerators import Accelerator
from clustersim.study.calibrate.curves import Calibration

__all__ = ["device_file_text"]


def device_file_text(calibration: Calibration, *, device: str, date: str) -> str:
    """Return the text of a device file.

    Parameters
    ----------
    device
        What the device calls itself.
    date
        Day of the measurement.
    """
    import yaml

    by_calibrate = f"clustersim calibrate on {device}, {calibration.software}, {date}"
    document = {
        "device": calibration.accelerator.name,
        "sources": _sources(calibration, by_calibrate),
        "accelerator": _accelerator(calibration),
        "efficiency": _efficiency(calibration),
    }
    head = (
        f"# Written by {by_calibrate}.\n"
        f"# {len(calibration.measured.rows)} kernels; the curves miss them by "
        f"{calibration.median_error:.1%} in the median.\n"
        "# A scenario uses it by its path: cluster: {accelerator: THIS-FILE.yaml, ...}\n"
    )
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return head + text


def _sources(calibration: Calibration, by_calibrate: str) -> dict[str, dict[str, str]]:
    sources = {
        "measured": {"text": by_calibrate, "how": "seen"},
        "best-measured": {
            "text": "Highest rate measured, in the place of a datasheet's peak: MFU is relative to it",
            "how": "assumed",
        },
        "as-stream": {"text": "Not measured: as copies of the device", "how": "assumed"},
        "as-norm": {"text": "Not measured: as norms of the device", "how": "assumed"},
        "as-dense": {"text": "Not measured: as dense products of the device", "how": "assumed"},
        "as-forward": {"text": "Not measured: as the forward pass of the device", "how": "assumed"},
    }
    if calibration.like is not None:
        sources["like"] = {"text": f"Catalogue entry '{calibration.like}'", "how": "assumed"}
    return sources


def _accelerator(calibration: Calibration) -> dict[str, Any]:
    found = calibration.accelerator
    datasheet = "like" if calibration.like is not None else "best-measured"
    cited = dict.fromkeys(("peak", "memory_bandwidth", "scale_up_bandwidth"), datasheet)
    if calibration.like is not None:
        cited |= dict.fromkeys(("tdp", "collective_units", "year"), "like")
    entry = {
        "sources": {"all": "measured", **cited},
        "vendor": found.vendor,
        "year": found.year,
        "peak": _rates(found.peak_flops),
        "sustained_product": _rates(found.sustained_product_flops),
        "memory": f"{found.memory_bytes / 2**20:.0f} MiB",
        "memory_bandwidth": f"{found.memory_bandwidth_bytes_per_s / 1e9:.5g} GB/s",
        "scale_up_bandwidth": _bandwidth(found),
        "compute_units": found.compute_units,
        "collective_units": dict(found.collective_units) or None,
        "tdp": None if found.tdp_w is None else f"{found.tdp_w:g} W",
        "kernel_launch": f"{found.kernel_launch_s * 1e6:.4g} us",
    }
    return {key: value for key, value in entry.items() if value is not None}


def _bandwidth(found: Accelerator) -> str | None:
    rate = found.scale_up_bandwidth_bytes_per_s
    return None if rate is None else f"{rate / 1e9:.5g} GB/s"


def _rates(by_precision: Mapping[str, float]) -> dict[str, str]:
    return {precision: f"{rate / 1e12:.5g} TFLOP/s" for precision, rate in by_precision.items()}


def _efficiency(calibration: Calibration) -> dict[str, Any]:
    curves = calibration.curves
    measured_backward = any(
        row.operators[0].kind == "attention_backward" for row in calibration.measured.rows
    )
    cited = {
        "gemm": "measured",
        "expert_gemm": "as-dense",
        "prefill_attention": "measured",
        "backward_attention": "measured" if measured_backward else "as-forward",
        "grouped_decode": "measured",
        "plain_decode": "measured",
        "memory": "measured",
        **{f"memory.{kind}": "as-stream" for kind in ("activation", "embedding", "optimizer")},
        "memory.fused_norm": "as-norm",
    }
    attention = ("prefill_attention", "backward_attention", "grouped_decode", "plain_decode")
    return {
        "sources": cited,
        "gemm": {key: _values(curve) for key, curve in curves.gemm.items()},
        "expert_gemm": {key: _values(curve) for key, curve in curves.expert_gemm.items()},
        **{field: _values(getattr(curves, field)) for field in attention},
        "memory": {kind: _values(curve) for kind, curve in curves.memory.items()},
    }


def _values(curve: Any) -> dict[str, float]:
    """Return a curve's parameters to five digits; rows of other alignment were not measured."""
    names = (spec.name for spec in fields(curve) if spec.name != "alignment")
    return {name: float(f"{getattr(curve, name):.5g}") for name in names}
