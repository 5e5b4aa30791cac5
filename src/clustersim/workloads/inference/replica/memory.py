"""How the memory of a replica's GPUs is split: weights, activations, KV blocks."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.cost.serving import ServingCost
from clustersim.errors import CannotRunError, Problem
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.workloads.inference.cache.kv_cache import KvCache, blocks_for

__all__ = ["MemoryPlan", "plan_memory"]


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on each GPU of a replica, and the KV blocks that they make.

    Parameters
    ----------
    weight_bytes, activation_bytes, kv_bytes
        What is held for the whole run.
    kv_blocks
        Blocks of the replica.
    scheduler
        Tokens per block and watermark.
    """

    weight_bytes: float
    activation_bytes: float
    kv_bytes: float
    kv_blocks: int
    scheduler: SchedulerSpec

    @property
    def total_bytes(self) -> float:
        """What the service takes of each GPU's memory."""
        return self.weight_bytes + self.activation_bytes + self.kv_bytes

    def cache(self) -> KvCache:
        """Make the empty KV cache of one replica."""
        return KvCache(
            self.kv_blocks, block_tokens=self.scheduler.block_tokens, watermark=self.scheduler.watermark
        )


def plan_memory(
    cost: ServingCost, *, scheduler: SchedulerSpec, memory_bytes: float, longest: tuple[int, int]
) -> MemoryPlan:
    """Give KV blocks what weights and activations leave of the memory that may be filled.

    *Equation.* blocks = ⌊(memory · utilization − weights − activations) / (block_tokens · kv)⌋, kv
    the bytes per token on one GPU.

    Parameters
    ----------
    cost
        Of the model on the GPU.
    scheduler
        Batching limits, block size, memory utilization and watermark.
    memory_bytes
        Of the smallest GPU of the replica.
    longest
        Most prompt tokens of a request, and what the longest request has beyond them.

    Raises
    ------
    CannotRunError
        If weights and activations do not fit, or the longest request's KV does not.
    """
    prompt, output = longest
    budget_bytes = memory_bytes * scheduler.memory_utilization
    tokens = step_tokens(scheduler, prompt)
    activation_bytes = cost.activation_bytes(tokens, sampled=scheduler.max_batch)
    left_bytes = budget_bytes - cost.weight_bytes - activation_bytes
    block_bytes = scheduler.block_tokens * cost.kv_bytes_per_token
    blocks = int(left_bytes // block_bytes)
    needed = blocks_for(prompt + output, scheduler.block_tokens)
    if blocks < 1 or blocks - int(scheduler.watermark * blocks) < needed:
        raise CannotRunError(
            Problem(
                ("model",),
                f"{cost.model.name} does not fit: {_text(budget_bytes)} of {_text(memory_bytes)} per GPU may "
                f"be filled; weights take {_text(cost.weight_bytes)}, activations of {tokens} tokens "
                f"{_text(activation_bytes)}, which leaves {_text(max(0.0, left_bytes))} for KV blocks; the "
                f"longest request ({prompt} + {output} tokens) needs {_text(needed * block_bytes)}; "
                f"{_advice(cost)}",
            )
        )
    return MemoryPlan(cost.weight_bytes, activation_bytes, blocks * block_bytes, blocks, scheduler)


def step_tokens(scheduler: SchedulerSpec, longest_prompt: int) -> int:
    """Most tokens that one step computes."""
    if scheduler.chunked_prefill is not None:
        return max(scheduler.chunked_prefill, scheduler.max_batch)
    return max(scheduler.max_batched_tokens, longest_prompt, scheduler.max_batch)


def _advice(cost: ServingCost) -> str:
    return (
        f"raise parallelism.tensor (now {cost.tensor}) or scheduler.memory_utilization, or take larger GPUs"
    )


def _text(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"
