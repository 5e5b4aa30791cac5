"""Calibration of a device of one's own: kernels are run and timed, curves fitted, a device file written."""

from __future__ import annotations

from clustersim.study.calibrate.backends import Backend, DeviceKind, open_backend
from clustersim.study.calibrate.curves import Calibration, calibrated
from clustersim.study.calibrate.device_file import device_file_text
from clustersim.study.calibrate.measure import Measured, measure
from clustersim.study.calibrate.plan import PLANS, Plan

__all__ = [
    "PLANS",
    "Backend",
    "Calibration",
    "DeviceKind",
    "Measured",
    "Plan",
    "calibrated",
    "device_file_text",
    "measure",
    "open_backend",
]
