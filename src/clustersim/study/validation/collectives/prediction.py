"""How long a collective of a table's row takes, by the catalogue alone.

Each prediction is the closed form of `Communicator.alone_s` on a star of idle nodes, with the frozen
parameters of `clustersim.catalog.collectives`; nothing of the row but its words and its size enters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clustersim.errors import InputError, did_you_mean
from clustersim.study.validation.collectives.cluster import communicator

if TYPE_CHECKING:
    from clustersim.catalog.hardware import Hardware, Library
    from clustersim.collectives import Communicator

__all__ = ["Prediction", "algorithm_for", "bus_factor", "kind_of", "predict"]

_KINDS = {
    "all_reduce": "all_reduce",
    "allreduce": "all_reduce",
    "all_gather": "all_gather",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "reducescatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "all_to_all": "all_to_all",
    "broadcast": "broadcast:0",
    "reduce": "reduce:0",
    "gather": "gather:0",
    "scatter": "scatter:0",
    "sendrecv": "send_recv:0:1",
    "send_recv": "send_recv:0:1",
}
"""Name in a table to what `Communicator.alone_s` calls it."""

_NVLS_SINCE = (2, 17)
"""NCCL's release notes: all-reduce in the switch."""
_KERNEL_GROUPS = (2, 4, 6, 8)
_KERNEL_BELOW_BYTES = 8 * 2**20
_ONE_SHOT_BELOW_BYTES = {2: _KERNEL_BELOW_BYTES, 4: 512 * 2**10, 6: 256 * 2**10, 8: 256 * 2**10}
"""vLLM, csrc/custom_all_reduce.cuh and distributed/device_communicators/custom_all_reduce.py: groups on
one NVLink node, below 8 MiB; one-shot always in pairs, else for small messages; NCCL beyond."""


class Prediction(NamedTuple):
    """Seconds, and the algorithm and protocol that they are of."""

    seconds: float
    algorithm: str


def kind_of(collective: str) -> str:
    """Return what `Communicator` calls a collective of a table.

    Raises
    ------
    InputError
        For one that is not modelled.
    """
    name = collective.strip().lower().replace("-", "_").replace(" ", "_")
    if name not in _KINDS:
        raise InputError(f"'{collective}' is not a collective that is modelled.{did_you_mean(name, _KINDS)}")
    return _KINDS[name]


def bus_factor(hardware: Hardware, collective: str) -> float:
    """Return what nccl-tests multiplies size/time with to get bus bandwidth."""
    return communicator(hardware).bus_bytes_factor(kind_of(collective))


def predict(hardware: Hardware, library: Library, collective: str, size_bytes: float) -> Prediction:
    """Predict a collective over all GPUs that take part.

    A send/recv among more than two GPUs is that of nccl-tests: each sends to the next one.

    Raises
    ------
    InputError
        For a collective, or a kernel on hardware, that is not modelled.
    """
    kind = kind_of(collective)
    algorithm = algorithm_for(hardware, library, kind, size_bytes)
    group = communicator(hardware, algorithm=algorithm)
    if len(group.group) < 2:
        raise InputError("a single GPU has nobody to communicate with")
    if kind.startswith("send_recv") and len(group.group) > 2:
        return _shift(group, size_bytes)
    return _fastest(group, kind, size_bytes, nvls=not library.before(*_NVLS_SINCE))


def algorithm_for(hardware: Hardware, library: Library, kind: str, size_bytes: float) -> str:
    """Return the algorithm of `Communicator` that a library runs: `auto`, or a serving engine's kernel."""
    if library.name != "kernels":
        return "auto"
    if kind != "all_reduce":
        raise InputError(f"serving engines have no kernel for {kind}")
    if not _runs_kernel(hardware, size_bytes):
        return "auto"
    return "one-shot" if size_bytes < _ONE_SHOT_BELOW_BYTES[hardware.gpus_per_node] else "direct"


def _runs_kernel(hardware: Hardware, size_bytes: float) -> bool:
    one_node = hardware.nodes == 1 and hardware.gpus_per_node in _KERNEL_GROUPS
    joined = hardware.node.scale_up_layout in ("switch", "mesh") or hardware.gpus_per_node == 2
    return one_node and joined and size_bytes < _KERNEL_BELOW_BYTES


def _fastest(group: Communicator, kind: str, size_bytes: float, *, nvls: bool) -> Prediction:
    """The fastest schedule and protocol, as `auto` picks; without NVLS where the library has none."""
    return min(
        (
            Prediction(candidate.alone_s(size_bytes, protocol), f"{candidate.plan.algorithm}/{protocol}")
            for candidate in group.candidates(kind)
            if nvls or candidate.plan.family != "nvls"
            for protocol in candidate.start_s
        ),
        key=lambda option: option.seconds,
    )


def _shift(group: Communicator, size_bytes: float) -> Prediction:
    """Every GPU sends to the next, the last to the first."""
    bytes_by_pair = size_bytes * np.roll(np.eye(len(group.group)), 1, axis=1)
    seconds = group.alone_s("all_to_all_v", bytes_by_pair)
    return Prediction(seconds, group.algorithm_of("all_to_all_v", bytes_by_pair))
