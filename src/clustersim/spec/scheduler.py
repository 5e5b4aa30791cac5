"""What a scenario may say about batching and KV memory of a service's replicas."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel
from clustersim.units import SIZE, SizeQuantity, quantity

__all__ = ["SchedulerSpec"]

_CHUNK_TOKENS = 512
"""Sarathi-Serve's chunk on A100 (Agrawal et al., OSDI 2024, section 5)."""
_STEP_TOKENS = 8192
"""vLLM 0.8's default on GPUs of 70 GiB and more."""
_WATERMARK = 0.01
"""vLLM before version 1, and Sarathi-Serve; version 1 has none."""

_ONLY_WITH = {
    "vidur_rules": ("vllm", "sarathi"),
    "long_prefill": ("vllm-v1",),
    "reserved_tokens": ("orca", "static"),
}


class SchedulerSpec(SpecModel):
    """Which requests run in the next engine step."""

    policy: Literal["vllm", "vllm-v1", "sarathi", "orca", "static"] = "vllm"
    """`vllm`: whole prompts first, in steps of their own (vLLM before version 1, SOSP 2023).
    `vllm-v1`: running requests, then waiting ones, share one budget of tokens.
    `sarathi`: all decodes in every step, and prompt chunks beside them (Sarathi-Serve, OSDI 2024).
    `orca`: decodes and whole prompts together, memory reserved for the longest (Orca, OSDI 2022).
    `static`: a batch runs until its longest answer is done (FasterTransformer)."""
    order: Literal["fcfs", "priority", "shortest-job", "fair", "longest-prefix"] = "fcfs"
    """Who is admitted next: by arrival; by the tenant's priority; by the length of the answer, as if it
    were known; the tenant that was served least; who finds most of its prompt in the prefix cache."""
    max_batch: Annotated[int, Field(ge=1)] = 256
    """Requests running at once on one replica."""
    max_batched_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens of one step: of its prompts (`vllm`, `orca`, `static`), or of prompt chunks and decodes
    together (`vllm-v1`, `sarathi`). Default: 8192; 512 for `sarathi`."""
    long_prefill: Annotated[int, Field(ge=1)] | None = None
    """`vllm-v1`: most prompt tokens of one request in a step. Default: all that the step has left."""
    vidur_rules: bool = False
    """`vllm`, `sarathi`: as the simulator Vidur has them. Each prompt of a `vllm` step counts as the
    longest of them; of a `sarathi` prompt that loses its blocks half computed the rest is generated token
    by token."""
    reserved_tokens: Annotated[int, Field(ge=1)] | None = None
    """`orca`, `static`: tokens whose KV blocks each request reserves. Default: the longest request's."""
    preemption: Literal["recompute", "swap"] = "recompute"
    """What becomes of a request that loses its KV blocks: computed again, or moved to host memory over
    PCIe and back."""
    swap_space: SizeQuantity = quantity("4 GiB", SIZE)
    """Host memory per GPU for `preemption: swap`; beyond it requests are computed again."""
    block_tokens: Annotated[int, Field(ge=1)] = 16
    """Tokens in one KV block."""
    kv_blocks: Annotated[int, Field(ge=1)] | None = None
    """KV blocks of a replica. Default: what weights and activations leave room for."""
    memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Fraction of GPU memory that weights, activations and KV blocks may fill."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Fraction of KV blocks kept free when a new request is admitted. Default: 0.01; 0 for `vllm-v1`,
    `orca` and `static`."""

    @model_validator(mode="after")
    def _fields_of_the_policy(self) -> Self:
        for name, policies in _ONLY_WITH.items():
            default = type(self).model_fields[name].default
            if getattr(self, name) != default and self.policy not in policies:
                raise FieldError(f"only for policy {' or '.join(policies)}, not '{self.policy}'", name)
        if self.preemption == "swap" and self.policy not in ("vllm", "sarathi"):
            raise FieldError(f"'{self.policy}' does not swap; 'vllm' and 'sarathi' do", "preemption")
        return self

    @property
    def step_tokens(self) -> int:
        """`max_batched_tokens`, or the policy's default."""
        return self.max_batched_tokens or (_CHUNK_TOKENS if self.policy == "sarathi" else _STEP_TOKENS)

    @property
    def free_fraction(self) -> float:
        """`watermark`, or the policy's default."""
        if self.watermark is not None:
            return self.watermark
        return _WATERMARK if self.policy in ("vllm", "sarathi") else 0.0
