"""What training frameworks do by themselves: one line each, with its source.

Tables of published runs give the layout and name the framework; the rest follows from what that
framework does. A rule says nothing that depends on a row or on a measurement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["FRAMEWORKS", "Framework", "framework_of"]

_SERIAL = MappingProxyType(
    {"enabled": False, "parameters": False, "pipeline": False, "tensor_backward": False}
)
"""Nothing runs beside computation: gradients after the last pass, sends between passes, sums of tensor
parallelism between kernels (its asynchronous all-reduce came in 2022, and Megatron-DeepSpeed left it off:
deepspeedai/Megatron-DeepSpeed issue 447)."""
_MEGATRON_CORE = MappingProxyType({"enabled": True, "parameters": True, "pipeline": True, "tensor": True})


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What a framework does where a row does not say.

    Parameters
    ----------
    name
        As the report calls it.
    words
        Regular expression of what tables call it.
    before
        Only on GPUs announced before this year: where a name has no version, the GPU dates it.
    attention, gradients
        As in `clustersim.spec.training.TrainingSpec`.
    zero
        Where the row does not say; `distributed_optimizer` for what a column's 0 means.
    recompute
        What is tried where the row does not say, the first that fits counting.
    interleaves
        Whether chunks per stage are tried where the row does not say.
    overlap
        Fields of `clustersim.spec.training.OverlapSpec`.
    sequence_parallel
        With tensor parallelism, where the row does not say.
    expert_tensor
        GPUs that share each expert; None: as tensor parallelism.
    uneven
        Layers where they do not divide: `ends`, one less on the first and last chunk; `last`, all chunks
        full but the last ones.
    dtype
        Where the row does not say.
    lora
        Adapters of its recipes: fields of `clustersim.spec.techniques.LoraSpec`.
    source
        Where this is written.
    """

    name: str
    words: str
    before: int | None = None
    attention: Literal["fused", "triton", "unfused"] = "fused"
    gradients: Literal["half", "fp32"] | None = None
    zero: int = 0
    recompute: tuple[Literal["none", "selective", "full"], ...] = ("none", "selective", "full")
    interleaves: bool = False
    overlap: Mapping[str, Any] = field(default_factory=dict)
    sequence_parallel: bool = True
    expert_tensor: int | None = None
    uneven: Literal["ends", "last"] = "ends"
    dtype: str = "bf16"
    lora: Mapping[str, Any] = field(default_factory=dict)
    source: str


FRAMEWORKS = (
    Framework(
        name="llm-foundry",
        words=r"llm-?foundry|mosaic|composer",
        before=2022,
        attention="triton",
        gradients="half",
        zero=3,
        overlap={"prefetch": 1},
        source="mosaicml/llm-foundry scripts/train/benchmarking/README.md (FULL_SHARD; MP mode PURE: reduced "
        "in half precision) and its configurations of 2023 (attn_impl: triton)",
    ),
    Framework(
        name="PyTorch FSDP",
        words=r"fsdp|llm-?foundry|mosaic|composer|torch-?titan|fairscale|lightning|litgpt|\bnanotron\b",
        zero=3,
        overlap={"prefetch": 1},
        source="Zhao et al., 'PyTorch FSDP', VLDB 2023: backward prefetch, reduce-scatter beside the "
        "backward pass; gradients reduced in fp32, as torchtitan and Llama 3 do",
    ),
    Framework(
        name="Megatron-DeepSpeed (2022)",
        words=r"megatron-?\s*deep-?speed|bigscience|bloom",
        before=2022,
        attention="unfused",
        zero=1,
        recompute=("full",),
        overlap=_SERIAL,
        sequence_parallel=False,
        uneven="last",
        dtype="fp16",
        source="bigscience-workshop/bigscience chronicles-prequel.md (ZeRO stage 1, activation checkpoints; "
        "78 layers on 12 stages are 7 each and 1 on the last); DeepSpeed runtime/pipe/engine.py: gradients "
        "are reduced after the schedule, sends block; Megatron's fused softmax kernel",
    ),
    Framework(
        name="DeepSpeed ZeRO",
        words=r"deep-?speed|\bzero\b",
        zero=3,
        overlap={"prefetch": 1},
        sequence_parallel=False,
        source="Rajbhandari et al., SC20; DeepSpeed's overlap_comm and stage3_prefetch_bucket_size",
    ),
    Framework(
        name="Megatron-LM before interleaving",
        words=r"megatron-lm v?[12]\.0|before interleav",
        attention="unfused",
        recompute=("full",),
        overlap=_SERIAL,
        sequence_parallel=False,
        dtype="fp16",
        source="NVIDIA/Megatron-LM at 152aab304d: 1F1B with blocking sends, gradients all-reduced after it, "
        "fused softmax, activation checkpoints in each layer",
    ),
    Framework(
        name="Megatron-LM (2021)",
        words=r"megatron-lm(?!.*(?:core|overlap|selective|flash|202[2-9]))",
        before=2022,
        attention="unfused",
        recompute=("full",),
        interleaves=True,
        overlap=_SERIAL,
        sequence_parallel=False,
        dtype="fp16",
        source="Narayanan et al., SC21 (arXiv:2104.04473), sections 2.2.2, 3.5, 4.1 and 4.2: interleaved "
        "1F1B, activation recomputation, blocking point-to-point calls, gradients reduced after the flush",
    ),
    Framework(
        name="Megatron-Bridge",
        words=r"megatron-?\s*bridge|nemo (?:container )?2[5-9]\.",
        gradients="half",
        zero=1,
        recompute=("none",),
        overlap=_MEGATRON_CORE,
        expert_tensor=1,
        source="NVIDIA-NeMo/Megatron-Bridge docs/performance-guide.md and perf_recipes: recomputation of "
        "attention's inner part alone (with fused attention: none), distributed optimizer, overlap "
        "of gradients, parameters, sends and tensor parallelism; "
        "expert_tensor_parallel_size 1, grad_reduce_in_fp32 false",
    ),
    Framework(
        name="NeMo in MLPerf",
        words=r"mlperf",
        gradients="half",
        zero=1,
        interleaves=True,
        overlap=_MEGATRON_CORE,
        dtype="fp8",
        source="mlcommons/training_results_v3.0 and v3.1, NVIDIA's gpt3 entries: NeMo with the interleaved "
        "schedule, FP8 of Transformer Engine, distributed optimizer, tensor parallelism overlapped",
    ),
    Framework(
        name="NeMo",
        words=r"nemo|nvidia release",
        gradients="half",
        zero=1,
        recompute=("none",),
        interleaves=True,
        overlap=_MEGATRON_CORE,
        dtype="fp8",
        lora={"rank": 32, "targets": ("qkv",)},
        source="NVIDIA/NeMo docs/source/performance: interleaved schedule (tables of fine-tuning leave its "
        "chunks out), no recomputation, distributed optimizer with overlap, "
        "ub_tp_comm_overlap, Transformer Engine's fused attention, FP8 of linear layers, "
        "grad_sync_dtype bf16; adapter_dim 32 on attention_qkv",
    ),
    Framework(
        name="Megatron-Core",
        words=r"megatron",
        zero=1,
        interleaves=True,
        overlap=_MEGATRON_CORE,
        source="NVIDIA/Megatron-LM README at f2e5db402c: --overlap-grad-reduce, --overlap-param-gather, "
        "--tp-comm-overlap, distributed optimizer, FlashAttention of Transformer Engine",
    ),
    Framework(
        name="others",
        words="",
        zero=1,
        source="assumed: fused attention, a distributed optimizer, overlapped gradients, as all current ones",
    ),
)
"""Rules in the order in which they are tried; the first whose words are found counts."""


def framework_of(words: str, *, year: int) -> Framework:
    """Return the rule for a framework as a table names it.

    Parameters
    ----------
    year
        When the GPU was announced.
    """
    return next(
        rule
        for rule in FRAMEWORKS
        if re.search(rule.words, words, re.IGNORECASE) and (rule.before is None or year < rule.before)
    )
