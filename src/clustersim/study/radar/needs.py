"""What a workload needs per unit of work, and how well it uses the devices that it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustersim import catalog
from clustersim.catalog.accelerators import Accelerator, DeviceSpeed
from clustersim.results.columns import FABRIC
from clustersim.study.radar.workload import Subject
from clustersim.study.records import RunRecord

__all__ = ["Need", "needs"]

_PRECISION = "bf16"
"""Whose peak stands for a device where a workload says nothing of its precision."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one unit of work takes, how fast units come, and what of the devices that uses.

    Parameters
    ----------
    unit
        `token` or `sample`.
    units_per_s
        Units of work done per second, all devices together.
    flops, hbm_bytes, network_bytes, messages
        Per unit of work: arithmetic, bytes through device memory, bytes that GPUs send (inside
        nodes too), and messages (`clustersim.workloads.needs`).
    gpus
        That the workload runs on.
    accelerator
        What they are.
    compute_utilization
        FLOP/s over the peak of all GPUs at the workload's precision.
    memory_utilization
        Bytes per second through device memory over the peak of all GPUs.
    network_utilization
        Mean load of the busiest link, of all workloads that share it.
    memory_fill
        Footprint of the fullest GPU over its memory.

    A value that is not known is None.
    """

    unit: str
    units_per_s: float
    flops: float
    hbm_bytes: float
    network_bytes: float
    messages: float
    gpus: float
    accelerator: str
    compute_utilization: float | None
    memory_utilization: float | None
    network_utilization: float | None
    memory_fill: float | None

    @property
    def memory_per_flop(self) -> float | None:
        """Memory held per FLOP/s executed, in units of what the device has per FLOP/s of its peak.

        *Equation.* (footprint / memory) / (FLOP/s / peak): the devices that hold the footprint over the
        devices whose arithmetic the workload uses up.
        """
        if self.memory_fill is None or not self.compute_utilization:
            return None
        return self.memory_fill / self.compute_utilization


def needs(subject: Subject, record: RunRecord) -> Need | None:
    """Return the needs of a workload from the run of its scenario; None where it got nothing done.

    **Valid when** its GPUs are of one kind; else nothing is said of how well they are used.
    **Checked by:** tests/study/test_radar.py.
    """
    metrics, facts = record.metrics.get(subject.workload, {}), record.facts.get(subject.workload, {})
    units_per_s = metrics.get("work.units_per_s", 0.0)
    if units_per_s <= 0.0:
        return None
    gpus = float(facts.get("gpus", 0.0))
    flops, hbm_bytes = metrics["work.flops_per_unit"], metrics["work.hbm_bytes_per_unit"]
    device = _device(subject, str(facts.get("accelerator", "")))
    return Need(
        unit=str(facts.get("work.unit", "unit")),
        units_per_s=units_per_s,
        flops=flops,
        hbm_bytes=hbm_bytes,
        network_bytes=metrics["work.network_bytes_per_unit"],
        messages=metrics["work.messages_per_unit"],
        gpus=gpus,
        accelerator=str(facts.get("accelerator", "")),
        compute_utilization=_over(flops * units_per_s, gpus, _peak(device, subject)),
        memory_utilization=_over(
            hbm_bytes * units_per_s, gpus, None if device is None else device.memory_bandwidth_bytes_per_s
        ),
        network_utilization=_busiest(record.metrics),
        memory_fill=_over(
            metrics.get("memory_bytes", 0.0), 1.0, None if device is None else device.memory_bytes
        ),
    )


def _device(subject: Subject, name: str) -> Accelerator | None:
    """Return the one accelerator of a workload at the speeds of its cluster."""
    if not name or ", " in name:
        return None
    own = subject.scenario.cluster.speeds
    speed = DeviceSpeed(own.compute, own.memory_bandwidth, own.host)
    return catalog.accelerator(name).with_speed(speed, memory_capacity=own.memory_capacity)


def _peak(device: Accelerator | None, subject: Subject) -> float | None:
    precision = str(getattr(subject.spec, "precision", _PRECISION))
    return None if device is None else device.peak_flops.get(precision)


def _over(amount: float, gpus: float, of_one: float | None) -> float | None:
    """Return the share of all GPUs' rate or memory that an amount is."""
    return amount / (gpus * of_one) if of_one and gpus and amount else None


def _busiest(metrics: Mapping[str, Mapping[str, float]]) -> float | None:
    return metrics.get(FABRIC, {}).get("busiest_link_utilization.mean")
