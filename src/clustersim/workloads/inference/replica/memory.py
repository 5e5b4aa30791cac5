"""How the memory of a replica's GPUs is split: weights, activations, KV blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.errors import CannotRunError, Problem
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.workloads.inference.cache.kv_cache import KvCache, blocks_for
from clustersim.workloads.inference.replica.fitting import layouts_that_fit

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
    longest_tokens
        Prompt and answer of the longest request.
    """

    weight_bytes: float
    activation_bytes: float
    kv_bytes: float
    kv_blocks: int
    scheduler: SchedulerSpec
    longest_tokens: int = 0

    @property
    def total_bytes(self) -> float:
        """What the service takes of each GPU's memory."""
        return self.weight_bytes + self.activation_bytes + self.kv_bytes

    def cache(self) -> KvCache:
        """Make the empty KV cache of one replica."""
        return KvCache(
            self.kv_blocks,
            block_tokens=self.scheduler.block_tokens,
            watermark=self.scheduler.free_fraction,
            block_bytes=self.kv_bytes / self.kv_blocks,
        )


def plan_memory(
    cost: ServingCost, *, scheduler: SchedulerSpec, memory_bytes: float, longest: tuple[int, int]
) -> MemoryPlan:
    """Give KV blocks what weights and activations leave of the memory that may be filled.

    *Equation.* blocks = d · min over stages ⌊(memory · utilization − weights − activations) /
    (block_tokens · kv)⌋, with kv the bytes per token on one GPU of the stage and d data groups, each of
    which keeps the requests of its own.

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
    tokens = step_tokens(scheduler, prompt)
    activation_bytes = cost.activation_bytes(tokens, sampled=-(-scheduler.max_batch // cost.layout.data))
    budget_bytes = memory_bytes * scheduler.memory_utilization
    blocks = _blocks(cost, scheduler, budget_bytes - activation_bytes)
    needed = blocks_for(prompt + output, scheduler.block_tokens)
    if blocks < 1 or blocks - int(scheduler.free_fraction * blocks) < needed:
        block_bytes = scheduler.block_tokens * cost.kv_bytes_per_token
        left_bytes = max(0.0, budget_bytes - activation_bytes - cost.weight_bytes)
        fitting = layouts_that_fit(
            cost, lambda other: _blocks(other, scheduler, budget_bytes - activation_bytes) > needed
        )
        raise CannotRunError(
            Problem(
                ("model",),
                f"{cost.model.name} does not fit: {_text(budget_bytes)} of {_text(memory_bytes)} per GPU may "
                f"be filled; weights take {_text(cost.weight_bytes)}, activations of {tokens} tokens "
                f"{_text(activation_bytes)}, which leaves {_text(left_bytes)} for KV blocks; the "
                f"longest request ({prompt} + {output} tokens) needs {_text(needed * block_bytes)}; "
                f"{_advice(cost, fitting)}",
            )
        )
    if scheduler.kv_blocks is not None:
        blocks = _asked_for(scheduler.kv_blocks, blocks, groups=cost.layout.data)
    kv_bytes = blocks * scheduler.block_tokens * cost.kv_bytes_per_token
    return MemoryPlan(
        cost.weight_bytes, activation_bytes, kv_bytes, blocks * cost.layout.data, scheduler, prompt + output
    )


def _asked_for(asked: int, room: int, *, groups: int) -> int:
    """Return the KV blocks of each data group where the scenario says how many there are."""
    if asked > room * groups:
        raise CannotRunError(
            Problem(
                ("scheduler", "kv_blocks"),
                f"{asked} blocks do not fit; there is room for {room * groups}; "
                "raise scheduler.memory_utilization, or take larger GPUs",
            )
        )
    return max(1, asked // groups)


def _blocks(cost: ServingCost, scheduler: SchedulerSpec, budget_bytes: float) -> int:
    """Return the KV blocks that one data group has room for, at the stage with the least of it."""
    return min(
        int((budget_bytes - weights) // (scheduler.block_tokens * cost.stage_kv_bytes_per_token(stage)))
        for stage, weights in enumerate(cost.stage_weight_bytes)
    )


def step_tokens(scheduler: SchedulerSpec, longest_prompt: int) -> int:
    """Most tokens that one step computes."""
    if scheduler.policy == "sarathi":
        return max(scheduler.step_tokens, scheduler.max_batch)
    return max(scheduler.step_tokens, longest_prompt, scheduler.max_batch)


def _advice(cost: ServingCost, fitting: Sequence[ServingLayout]) -> str:
    if not fitting:
        return "raise scheduler.memory_utilization, or take larger GPUs"
    layouts = " or ".join(
        f"{layout.gpus} GPUs (tensor {layout.tensor}, pipeline {layout.pipeline}, data {layout.data}, "
        f"expert {layout.expert})"
        for layout in fitting
    )
    return (
        f"now {cost.layout.gpus} GPUs; it fits on {layouts}; or raise scheduler.memory_utilization, or take "
        "larger GPUs"
    )


def _text(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"
