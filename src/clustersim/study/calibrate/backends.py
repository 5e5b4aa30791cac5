"""What a device and its software can be asked to run and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from clustersim.errors import InputError

__all__ = ["Backend", "DeviceKind", "Kernel", "open_backend"]

DeviceKind = Literal["cuda", "cpu"]

Kernel = Callable[[], object]
"""Runs a kernel once, or starts it where the device runs on its own."""


class Backend(Protocol):
    """A device as one library drives it.

    Parameters
    ----------
    device_name, vendor, software
        As the device and the library call themselves.
    precisions
        Of products that it can run.
    attention_precision
        Of fused attention and of memory-bound kernels.
    skips_masked
        Whether causal attention leaves the masked half out.
    compute_units, memory_bytes
        As the library reports them.
    """

    device_name: str
    vendor: str
    software: str
    precisions: tuple[str, ...]
    attention_precision: str
    skips_masked: bool
    compute_units: int
    memory_bytes: float

    def product(self, m: int, n: int, k: int, *, precision: str) -> Kernel:
        """Return a product of normally distributed matrices."""

    def attention(
        self, *, batch: int, queries: int, keys: int, heads: int, kv_heads: int, head_dim: int
    ) -> Kernel:
        """Return attention, causal where queries are as many as keys."""

    def attention_backward(
        self, *, batch: int, queries: int, heads: int, kv_heads: int, head_dim: int
    ) -> Kernel | None:
        """Return its backward pass; None where the library has none."""

    def copy(self, size_bytes: int) -> Kernel:
        """Return a copy of so many bytes."""

    def norm(self, rows: int, width: int) -> Kernel:
        """Return a normalisation along rows."""

    def seconds(self, kernel: Kernel) -> float:
        """Return the time of one execution, in the fastest of several batches."""

    def held_seconds(self, kernel: Kernel, *, hold_s: float) -> float:
        """Return the mean time of one execution after the kernel ran for `hold_s` without a pause."""

    def launch_s(self) -> float:
        """Return the interval between launches of very small kernels."""

    def all_reduce_bytes_per_s(self) -> float | None:
        """Return the bus bandwidth of an all-reduce over all devices; None with a single one."""


def open_backend(device: DeviceKind | None = None) -> Backend:
    """Return PyTorch on a GPU, or on the CPU; NumPy on the CPU where PyTorch is not installed.

    Raises
    ------
    InputError
        For `cuda` without PyTorch, or without a GPU that it sees.
    """
    from clustersim.study.calibrate.torch_backend import TorchBackend, sees_gpu

    try:
        gpu = sees_gpu()
    except ModuleNotFoundError:
        if device == "cuda":
            raise InputError("calibrating a GPU needs PyTorch: pip install 'clustersim[calibrate]'") from None
        from clustersim.study.calibrate.numpy_backend import NumpyBackend

        return NumpyBackend()
    if device == "cuda" and not gpu:
        raise InputError("PyTorch sees no GPU here; --device cpu calibrates the processor")
    return TorchBackend(device or ("cuda" if gpu else "cpu"))
