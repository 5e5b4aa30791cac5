"""The roofline: an operator on a device, in seconds, split by what it waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from clustersim.catalog.accelerators import AS_BUILT, Accelerator, DeviceSpeed
from clustersim.cost.efficiency import AttentionWork, CurveSet, Roofs, curve_set
from clustersim.cost.operators import Operator
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH

__all__ = ["EagerRoofline", "KernelTime", "Roofline", "SustainedRoofline"]

_SHARPNESS = 6.0
"""Exponent of the corner of the roofline: near it both roofs slow a kernel, by up to 12 %
(2^(1/6)). Fitted together with the curves."""


@dataclass(frozen=True, slots=True)
class KernelTime:
    """Seconds of one or more kernels, split by what they would shrink with.

    `compute_s` and `memory_s` are the elasticities of the time to arithmetic and to memory bandwidth,
    in seconds (see `Roofline`); `launch_s` is time that the host sets. Times add up, and multiply by a
    number of executions.
    """

    ZERO: ClassVar[KernelTime]

    compute_s: float = 0.0
    memory_s: float = 0.0
    launch_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Whole time."""
        return self.compute_s + self.memory_s + self.launch_s

    @property
    def host_bound(self) -> bool:
        """Whether the host alone sets it, so that neither kernels nor what runs beside them count."""
        return self.launch_s > 0.0 and not self.compute_s and not self.memory_s

    def __add__(self, other: KernelTime) -> KernelTime:
        return KernelTime(
            self.compute_s + other.compute_s,
            self.memory_s + other.memory_s,
            self.launch_s + other.launch_s,
        )

    def __mul__(self, times: float) -> KernelTime:
        return KernelTime(self.compute_s * times, self.memory_s * times, self.launch_s * times)

    __rmul__ = __mul__

    def shares(self) -> dict[str, float]:
        """Return seconds by resource, as `clustersim.engine.trace` names them; no zero entries."""
        split = {COMPUTE: self.compute_s, MEMORY_BANDWIDTH: self.memory_s, HOST: self.launch_s}
        return {resource: seconds for resource, seconds in split.items() if seconds > 0.0}


KernelTime.ZERO = KernelTime()


def _under(roofs: Roofs) -> KernelTime:
    """Return the time of a kernel under its roofs, each with its weight at the corner."""
    compute_s, memory_s, latency_s = roofs
    if not compute_s:
        return KernelTime(memory_s=latency_s + memory_s)
    longer, shorter = (compute_s, memory_s) if compute_s > memory_s else (memory_s, compute_s)
    ratio = (shorter / longer) ** _SHARPNESS
    seconds = latency_s + longer * (1.0 + ratio) ** (1.0 / _SHARPNESS)
    less_s = seconds * (ratio / (1.0 + ratio))
    if compute_s > memory_s:
        return KernelTime(seconds - less_s, less_s)
    return KernelTime(less_s, seconds - less_s)


def _corner_s(compute_s: float, memory_s: float) -> float:
    longer, shorter = max(compute_s, memory_s), min(compute_s, memory_s)
    if not longer:
        return 0.0
    return float(longer * (1.0 + (shorter / longer) ** _SHARPNESS) ** (1.0 / _SHARPNESS))


def _at_speed(roofs: Roofs, speed: DeviceSpeed) -> Roofs:
    """Bring the latency of a kernel to the speed that its two other times are at already."""
    compute_s, memory_s, latency_s = roofs
    as_built_s = _corner_s(speed.compute * compute_s, speed.memory_bandwidth * memory_s)
    part = _corner_s(compute_s, memory_s) / as_built_s if as_built_s else 1.0 / speed.memory_bandwidth
    return Roofs(compute_s, memory_s, latency_s * part)


class Roofline:
    """A device's time for operators that it finds ready: captured graphs, compiled programs.

    *Equation:* t = latency + (t_c⁶ + t_m⁶)^(1/6), a maximum with a rounded corner, where t_c and
    t_m are what arithmetic and memory traffic take at the efficiencies of their shapes
    (`clustersim.cost.efficiency`). Arithmetic has t_c⁶ / (t_c⁶ + t_m⁶) of it and memory the rest, the latency
    included: filling and draining a device is work of the same kind at part load. So a device whose
    arithmetic is f times faster, t_c → t_c/f, takes latency·(corner now / corner before), and
    -∂ln t/∂ln f is the share of arithmetic: shares are elasticities.

    Parameters
    ----------
    accelerator
        The device; its `efficiency` names the curves.
    curves
        Other curves in place of the catalogue's.

    **Valid when** one kernel at a time has the whole device.
    **Checked by:** tests/cost; error tables in docs/cost.md.
    """

    def __init__(self, accelerator: Accelerator, *, curves: CurveSet | None = None) -> None:
        self.accelerator = accelerator
        self.curves = curves if curves is not None else curve_set(accelerator.efficiency)
        self._speed = None if accelerator.speed == AS_BUILT else accelerator.speed

    def kernel(self, operator: Operator) -> KernelTime:
        """Return the time that the device takes for one execution, whatever the host does."""
        return self._kernel(self.roofs(operator))

    def roofs(self, operator: Operator) -> Roofs:
        """Return what arithmetic and memory traffic of one execution take, and the latency."""
        return self.curves.curve(operator).roofs(operator, self.accelerator)

    def attention_work(self, operator: Operator) -> AttentionWork:
        """Return what the sequences of a prefill attention bring into a kernel with others."""
        return self.curves.prefill_attention.work(operator, self.accelerator)

    def attention(self, work: AttentionWork) -> KernelTime:
        """Return the time of one kernel of prefill attention over all the sequences of `work`."""
        return self._kernel(self.curves.prefill_attention.roofs_of(work))

    def _kernel(self, roofs: Roofs) -> KernelTime:
        return _under(roofs if self._speed is None else _at_speed(roofs, self._speed))

    def time(self, operator: Operator) -> KernelTime:
        """Return the time of all `operator.count` executions."""
        return self.stream([operator])

    def stream(self, operators: Iterable[Operator]) -> KernelTime:
        """Return the time of operators that run one after the other."""
        total = KernelTime.ZERO
        for operator in operators:
            total += self.kernel(operator) * operator.count
        return total


class SustainedRoofline(Roofline):
    """A device hour after hour, as in training: the power limit holds its large products back.

    *Equation:* t_c = max(t_c of the curve, FLOPs / `accelerator.sustained_rate`), for products and
    for attention of many queries.

    Kernel tables are short bursts, often on data that switch few transistors; a clock that the
    power limit pulls down later does not show in them. Kernels that stay below the sustained rate
    anyhow draw less power and are not slowed.

    **Valid when** large products follow each other for longer than some milliseconds; a device with
    another power limit than `tdp_w`, or short of cooling, holds less.
    **Source:** `accelerator.sources["sustained_product"]`. **Checked by:** tests/cost/test_sustained.py.
    """

    def roofs(self, operator: Operator) -> Roofs:
        """Return the three times of one execution, with arithmetic at the sustained rate at most."""
        roofs = super().roofs(operator)
        if roofs.compute_s == 0.0:
            return roofs
        least_s = operator.flops / self.accelerator.sustained_rate(operator.precision)
        return roofs._replace(compute_s=max(roofs.compute_s, least_s))


class EagerRoofline(Roofline):
    """A device whose host launches every kernel as the program goes (eager PyTorch).

    The host runs ahead of the device, so launches overlap with execution:

    *Equation:* t = max(Σ execution, kernels · kernel_launch_s); where the host takes longer, all of it is
    `launch_s`.

    **Valid when** the stream is long against the queue of pending launches and the host does
    not wait for results in between. For one operator it is max(execution, launch interval).
    """

    def stream(self, operators: Iterable[Operator]) -> KernelTime:
        """Return the time of operators launched one after the other."""
        stream = list(operators)
        executed = super().stream(stream)
        launches_s = sum(operator.count for operator in stream) * self.accelerator.kernel_launch_s
        return executed if executed.seconds >= launches_s else KernelTime(launch_s=launches_s)
