"""How long a node computes: as recorded, or what a roofline says."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.catalog.accelerators import Accelerator
from clustersim.engine.trace import COMPUTE, HOST, MEMORY_BANDWIDTH
from clustersim.spec.chakra import ChakraSpec
from clustersim.workloads.chakra.messages import Node

__all__ = ["Duration", "Durations", "on_host"]

_MICRO = 1e-6


class Duration(NamedTuple):
    """Seconds, and the resource that takes them."""

    seconds: float
    resource: str


class Durations:
    """Computation of nodes on one kind of GPU.

    *Equation.* Roofline: max(num_ops / peak, tensor_size / memory bandwidth), as ASTRA-sim has it.

    Parameters
    ----------
    spec
        Whether recorded durations count, and the precision of the peak rate.
    accelerator
        The GPU.

    Raises
    ------
    CatalogError
        If the GPU has no rate for the precision.

    **Valid when** recorded durations are of the same GPU; a roofline without efficiencies is the least
    that a kernel can take.
    **Source:** astra-sim, astra-sim/workload/Workload.cc, `issue_comp`.
    **Checked by:** tests/workloads/test_chakra_replay.py.
    """

    def __init__(self, spec: ChakraSpec, accelerator: Accelerator) -> None:
        self._recorded = spec.compute == "recorded"
        self._peak_flops = accelerator.peak(spec.precision)
        self._bytes_per_s = accelerator.memory_bandwidth_bytes_per_s
        self._speed = accelerator.speed

    def of(self, node: Node) -> Duration:
        """Return how long a node computes."""
        recorded_s = node.duration_micros * _MICRO
        if on_host(node):
            return Duration(recorded_s / self._speed.host, HOST)
        compute_s = _count(node, "num_ops") / self._peak_flops
        memory_s = _count(node, "tensor_size") / self._bytes_per_s
        roofline_s = max(compute_s, memory_s)
        if not roofline_s or (self._recorded and recorded_s):
            return Duration(recorded_s / self._speed.compute, COMPUTE)
        return Duration(roofline_s, COMPUTE if compute_s >= memory_s else MEMORY_BANDWIDTH)


def on_host(node: Node) -> bool:
    """Whether a node runs on the host's processor."""
    return bool(node.attributes.get("is_cpu_op", False))


def _count(node: Node, name: str) -> float:
    value = node.attributes.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
