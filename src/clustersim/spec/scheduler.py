"""What a scenario may say about batching and KV memory of a service's replicas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.spec._base import SpecModel

__all__ = ["SchedulerSpec"]


class SchedulerSpec(SpecModel):
    """Which requests run in the next engine step."""

    policy: Literal["continuous"] = "continuous"
    """Continuous batching (Orca, OSDI 2022) over paged KV blocks (vLLM, SOSP 2023)."""
    max_batch: Annotated[int, Field(ge=1)] = 256
    """Requests running at once on one replica."""
    max_batched_tokens: Annotated[int, Field(ge=1)] = 8192
    """Prompt tokens computed in one step when prompts are not chunked."""
    chunked_prefill: Annotated[int, Field(ge=1)] | None = None
    """Token budget of a step shared by decodes and prompt chunks (Sarathi-Serve, OSDI 2024).
    Default: whole prompts run first, in steps of their own."""
    block_tokens: Annotated[int, Field(ge=1)] = 16
    """Tokens in one KV block."""
    memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Fraction of GPU memory that weights, activations and KV blocks may fill."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Fraction of KV blocks kept free when a new request is admitted."""
