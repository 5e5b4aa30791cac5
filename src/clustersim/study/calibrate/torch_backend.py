"""A GPU, or the processor, as PyTorch drives it."""

from __future__ import annotations

import importlib
import os
import platform
from typing import Any

from clustersim.study.calibrate.backends import Kernel
from clustersim.study.calibrate.timing import best_seconds, held_seconds

__all__ = ["TorchBackend", "sees_gpu"]

_SEED = 1
_ALL_REDUCE_BYTES = 256 * 2**20
_FIRST_WITH_FP8 = (8, 9)
"""Compute capability of Ada; NVIDIA, CUDA programming guide."""
_TYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def sees_gpu() -> bool:
    """Whether PyTorch sees a GPU.

    Raises
    ------
    ModuleNotFoundError
        Without PyTorch.
    """
    import torch

    return bool(torch.cuda.is_available())


class TorchBackend:
    """A `Backend`: eager PyTorch with its own choice of libraries."""

    def __init__(self, device: str) -> None:
        import torch

        self._torch: Any = torch
        self._device = torch.device(device)
        self._on_gpu = device == "cuda"
        self.skips_masked = self._on_gpu
        torch.manual_seed(_SEED)
        self.software = f"PyTorch {torch.__version__}, Python {platform.python_version()}"
        if self._on_gpu:
            self._describe_gpu()
        else:
            self._describe_processor()

    def _describe_gpu(self) -> None:
        torch = self._torch
        facts = torch.cuda.get_device_properties(self._device)
        self.device_name, self.compute_units = facts.name, facts.multi_processor_count
        self.memory_bytes = float(facts.total_memory)
        self.vendor = "AMD" if torch.version.hip else "NVIDIA"
        self.software += f", {'ROCm' if torch.version.hip else 'CUDA'} "
        self.software += str(torch.version.hip or torch.version.cuda)
        self.precisions: tuple[str, ...] = ("fp32", "fp16")
        if torch.cuda.is_bf16_supported():
            self.precisions = ("fp32", "tf32", "fp16", "bf16")
        if not torch.version.hip and (facts.major, facts.minor) >= _FIRST_WITH_FP8:
            self.precisions += ("fp8",)
        self.attention_precision = "bf16" if "bf16" in self.precisions else "fp16"

    def _describe_processor(self) -> None:
        self.device_name = platform.processor() or platform.machine()
        self.compute_units = self._torch.get_num_threads()
        self.memory_bytes = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        self.vendor, self.precisions, self.attention_precision = "CPU", ("fp32",), "fp32"

    def _normal(self, *shape: int, precision: str | None = None) -> Any:
        kind = getattr(self._torch, _TYPES[precision or self.attention_precision])
        return self._torch.randn(shape, device=self._device, dtype=kind)

    def _synchronise(self) -> None:
        if self._on_gpu:
            self._torch.cuda.synchronize(self._device)

    def product(self, m: int, n: int, k: int, *, precision: str) -> Kernel:
        """Return a product of normally distributed matrices; a weight matrix lies transposed."""
        if precision == "fp8":
            return self._eight_bit_product(m, n, k)
        a, b = self._normal(m, k, precision=precision), self._normal(n, k, precision=precision).t()

        def run() -> object:
            self._torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            return self._torch.matmul(a, b)

        return run

    def _eight_bit_product(self, m: int, n: int, k: int) -> Kernel:
        """Rows are filled up to 16, which 8-bit products need."""
        a = self._normal(max(m, 16), k, precision="bf16").to(self._torch.float8_e4m3fn)
        b = self._normal(n, k, precision="bf16").to(self._torch.float8_e4m3fn).t()
        one = self._torch.ones((), device=self._device)
        multiply = self._torch._scaled_mm
        return lambda: multiply(a, b, scale_a=one, scale_b=one, out_dtype=self._torch.bfloat16)

    def attention(
        self, *, batch: int, queries: int, keys: int, heads: int, kv_heads: int, head_dim: int
    ) -> Kernel:
        """Return fused attention, causal where queries are as many as keys."""
        q = self._normal(batch, heads, queries, head_dim)
        k, v = (self._normal(batch, kv_heads, keys, head_dim) for _ in range(2))
        attend = self._torch.nn.functional.scaled_dot_product_attention
        return lambda: attend(q, k, v, is_causal=queries == keys, enable_gqa=kv_heads != heads)

    def attention_backward(
        self, *, batch: int, queries: int, heads: int, kv_heads: int, head_dim: int
    ) -> Kernel | None:
        """Return the backward pass of one forward pass, run again and again."""
        q = self._normal(batch, heads, queries, head_dim).requires_grad_()
        k, v = (self._normal(batch, kv_heads, queries, head_dim).requires_grad_() for _ in range(2))
        attend = self._torch.nn.functional.scaled_dot_product_attention
        result = attend(q, k, v, is_causal=True, enable_gqa=kv_heads != heads)
        gradient = self._torch.randn_like(result)
        return lambda: self._torch.autograd.grad(result, (q, k, v), gradient, retain_graph=True)

    def copy(self, size_bytes: int) -> Kernel:
        """Return a copy of so many bytes in device memory."""
        source = self._torch.zeros(max(1, size_bytes), device=self._device, dtype=self._torch.uint8)
        target = self._torch.empty_like(source)
        return lambda: target.copy_(source)

    def norm(self, rows: int, width: int) -> Kernel:
        """Return a layer norm along rows."""
        x = self._normal(rows, width)
        return lambda: self._torch.nn.functional.layer_norm(x, (width,))

    def seconds(self, kernel: Kernel) -> float:
        """Return the time of one execution."""
        return best_seconds(kernel, synchronise=self._synchronise)

    def held_seconds(self, kernel: Kernel, *, hold_s: float) -> float:
        """Return the mean time of one execution after `hold_s` without a pause."""
        return held_seconds(kernel, hold_s=hold_s, synchronise=self._synchronise)

    def launch_s(self) -> float:
        """Return the interval between launches of a kernel on a single number."""
        x = self._torch.zeros(1, device=self._device)
        return self.seconds(lambda: x.add_(1.0))

    def all_reduce_bytes_per_s(self) -> float | None:
        """Return the bus bandwidth of an all-reduce of 256 MiB over all GPUs of this machine."""
        ranks = self._torch.cuda.device_count() if self._on_gpu else 1
        if ranks < 2:
            return None
        nccl = importlib.import_module("torch.cuda.nccl")
        parts = [
            self._torch.ones(_ALL_REDUCE_BYTES // 2, device=f"cuda:{rank}", dtype=self._torch.float16)
            for rank in range(ranks)
        ]

        def synchronise() -> None:
            for rank in range(ranks):
                self._torch.cuda.synchronize(rank)

        seconds = best_seconds(lambda: nccl.all_reduce(parts), synchronise=synchronise)
        return 2.0 * (ranks - 1) / ranks * _ALL_REDUCE_BYTES / seconds
