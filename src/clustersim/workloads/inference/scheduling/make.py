"""The scheduler that a scenario describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.errors import CannotRunError, Problem
from clustersim.spec.scheduler import SchedulerSpec
from clustersim.workloads.inference.cache.kv_cache import KvCache
from clustersim.workloads.inference.scheduling.chunked import ChunkedPrefillScheduler
from clustersim.workloads.inference.scheduling.decode_batch import DecodeBatch
from clustersim.workloads.inference.scheduling.fair_share import FairShare
from clustersim.workloads.inference.scheduling.order import (
    FirstComeFirstServed,
    LongestPrefixFirst,
    PriorityFirst,
    RequestQueue,
    ShortestJobFirst,
)
from clustersim.workloads.inference.scheduling.prefill_first import PrefillFirstScheduler
from clustersim.workloads.inference.scheduling.reserving import OrcaScheduler, StaticScheduler
from clustersim.workloads.inference.scheduling.scheduler import Scheduler
from clustersim.workloads.inference.scheduling.swap_space import SwapSpace
from clustersim.workloads.inference.scheduling.unified import UnifiedScheduler

__all__ = ["make_scheduler"]


def make_scheduler(
    spec: SchedulerSpec,
    cache: KvCache,
    *,
    longest_tokens: int = 0,
    decoding: DecodeBatch | None = None,
    pipeline: int = 1,
    weights: Mapping[int, float] | None = None,
) -> Scheduler:
    """Make the scheduler that a spec describes.

    Parameters
    ----------
    spec
        What the scenario says.
    cache
        KV blocks of the replica.
    longest_tokens
        Prompt and answer of the longest request, for policies that reserve memory for it.
    decoding
        The decodes; None: one token per request and step.
    pipeline
        Steps under way at the same time.
    weights
        Fair shares of the tenants by their number; 1 where none is given.

    Raises
    ------
    CannotRunError
        If what requests reserve is less than the longest needs, or more than there is.
    """
    options: dict[str, Any] = {
        "max_batch": spec.max_batch,
        "queue": _queue(spec, cache, weights),
        "decoding": decoding,
        "pipeline": pipeline,
        "swap": _swap_space(spec, cache),
    }
    tokens = spec.step_tokens
    if spec.policy == "sarathi":
        return ChunkedPrefillScheduler(cache, token_budget=tokens, vidur_rules=spec.vidur_rules, **options)
    if spec.policy == "vllm-v1":
        return UnifiedScheduler(cache, token_budget=tokens, long_prefill=spec.long_prefill, **options)
    if spec.policy == "vllm":
        return PrefillFirstScheduler(
            cache, max_batched_tokens=tokens, pad_prompts=spec.vidur_rules, **options
        )
    kind = OrcaScheduler if spec.policy == "orca" else StaticScheduler
    reserved = _reserved_tokens(spec, cache, longest_tokens)
    return kind(cache, max_batched_tokens=tokens, reserved_tokens=reserved, **options)


def _reserved_tokens(spec: SchedulerSpec, cache: KvCache, longest_tokens: int) -> int:
    reserved = spec.reserved_tokens or longest_tokens
    room = cache.total_blocks * cache.block_tokens
    if reserved < longest_tokens or reserved > room:
        raise CannotRunError(
            Problem(
                ("scheduler", "reserved_tokens"),
                f"each request reserves {reserved} tokens; the longest has {longest_tokens}, and there is "
                f"room for {room}",
            )
        )
    return reserved


def _queue(spec: SchedulerSpec, cache: KvCache, weights: Mapping[int, float] | None) -> RequestQueue:
    if spec.order == "fair":
        return FairShare(weights)
    if spec.order == "longest-prefix":
        return LongestPrefixFirst(cache.cached_tokens)
    if spec.order == "priority":
        return PriorityFirst()
    return ShortestJobFirst() if spec.order == "shortest-job" else FirstComeFirstServed()


def _swap_space(spec: SchedulerSpec, cache: KvCache) -> SwapSpace | None:
    if spec.preemption == "recompute" or not cache.block_bytes:
        return None
    return SwapSpace(int(spec.swap_space // cache.block_bytes))
