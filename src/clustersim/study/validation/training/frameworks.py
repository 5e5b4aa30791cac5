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
_TRANSFORMER_ENGINE = MappingProxyType({"product_factor": 2.7})
"""Its modules take the host that much longer than PyTorch's (NVIDIA/TransformerEngine issue 2053)."""


_MEGATRON_DEEPSPEED: Mapping[str, Any] = MappingProxyType(
    {
        "attention": "unfused",
        "gradients": "both",
        "zero": 1,
        "recompute": ("full",),
        "overlap": _SERIAL,
        "sequence_parallel": False,
        "uneven": "last",
        "dtype": "fp16",
    }
)


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What a framework does where a row does not say.

    Parameters
    ----------
    name
        As the report calls it.
    words
        Regular expression of what tables call it.
    where
        Regular expression of the systems that it is for; empty: all.
    before
        Only on GPUs announced before this year: where a name has no version, the GPU dates it.
    attention, context_exchange, gradients
        As in `clustersim.spec.training.TrainingSpec`.
    zero
        Where the row does not say.
    always_divides
        Whether a column's 0 means ZeRO 1, as its optimizer is always distributed.
    zero_with_stages
        What FSDP amounts to where there are pipeline stages, as parameters stay between micro-batches; 1
        where gradients are reduced with the last of them alone.
    recompute
        What is tried where the row does not say, the first that fits counting.
    interleaves
        Whether chunks per stage are tried where the row does not say.
    schedule
        Order of passes where it is neither 1F1B nor interleaved.
    overlap
        Fields of `clustersim.spec.training.OverlapSpec`.
    host
        Fields of `clustersim.spec.host.HostSpec`.
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
    where: str = ""
    before: int | None = None
    attention: Literal["fused", "flash-2", "triton", "unfused"] = "fused"
    context_exchange: Literal["ring", "all-gather"] = "ring"
    gradients: Literal["half", "fp32", "both"] | None = None
    zero: int = 0
    always_divides: bool = False
    zero_with_stages: int = 2
    recompute: tuple[Literal["none", "selective", "full"], ...] = ("none", "selective", "full")
    interleaves: bool = False
    schedule: Literal["zero-bubble"] | None = None
    overlap: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    sequence_parallel: bool = True
    expert_tensor: int | None = None
    uneven: Literal["ends", "last"] = "ends"
    dtype: str = "bf16"
    lora: Mapping[str, Any] = field(default_factory=dict)
    source: str


FRAMEWORKS = (
    Framework(
        name="llm-foundry (2024)",
        words=r"(?:llm-?foundry|mosaic|composer).*flash-?\s*attention-?\s*2",
        attention="flash-2",
        zero=3,
        overlap={"prefetch": 1},
        source="mosaicml/llm-foundry at 5e85bd62d (January 2024), scripts/train/benchmarking/sweep.py "
        "(--attn_impl flash) and setup.py (flash-attn 2.4.2)",
    ),
    Framework(
        name="llm-foundry (2023, amp)",
        words=r"(?:llm-?foundry|mosaic|composer).*triton",
        attention="triton",
        zero=3,
        overlap={"prefetch": 1},
        source="mosaicml/llm-foundry at b2a43a147 (October 2023), "
        "scripts/train/benchmarking/submit_benchmarks.py (--attn_impl triton); MP mode DEFAULT: "
        "gradients are reduced in fp32",
    ),
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
        name="Llama 3",
        words=r"\bllama[ -]?3 \(|4d parallel",
        zero=3,
        context_exchange="all-gather",
        interleaves=True,
        recompute=("none", "selective", "full"),
        overlap={"prefetch": 1},
        source="Llama team, arXiv:2407.21783, section 3.3.2: FSDP that keeps parameters between "
        "micro-batches, interleaved schedule with a layer less on the first and last stage, "
        "all-gather of keys and values",
    ),
    Framework(
        name="nanotron",
        words=r"\bnanotron\b",
        attention="flash-2",
        source="huggingface/nanotron README and docs/docs.md: data parallelism with fp32 gradients added up "
        "per bucket, ZeRO 1 where asked for, 1F1B, flash-attn 2, reduce-scatter mode of tensor "
        "parallelism",
    ),
    Framework(
        name="PyTorch FSDP",
        words=r"fsdp|llm-?foundry|mosaic|composer|torch-?titan|fairscale|lightning|litgpt",
        attention="flash-2",
        context_exchange="all-gather",
        zero=3,
        zero_with_stages=1,
        overlap={"prefetch": 1},
        source="Zhao et al., 'PyTorch FSDP', VLDB 2023: backward prefetch, reduce-scatter beside the "
        "backward pass; gradients reduced in fp32, as torchtitan and Llama 3 do; "
        "scaled_dot_product_attention runs FlashAttention-2; torchtitan/distributed/utils.py, context "
        "parallelism: rotate_method allgather; torch/distributed/pipelining/stage.py: FSDP "
        "synchronises gradients with the last micro-batch",
    ),
    Framework(
        name="MaxText",
        words=r"max-?text|pathways|t5x|\bjax\b|\bxla\b",
        zero=3,
        context_exchange="all-gather",
        overlap={"prefetch": 1, "tensor": True},
        source="AI-Hypercomputer/maxtext docs/guides/optimization (fully sharded over ici_fsdp, asynchronous "
        "collectives); Pope et al. and Chowdhery et al. for Pathways",
    ),
    Framework(
        name="InternEvo",
        words=r"intern-?(?:evo|lm)|lightllm-train",
        gradients="half",
        zero=1,
        overlap={"enabled": True, "parameters": False},
        sequence_parallel=False,
        attention="flash-2",
        source="InternLM/InternEvo at c628a8c87, configs/7B_sft.py: overlap_sync_grad, no "
        "overlap_sync_param, use_flash_attn, zero1 over groups of data-parallel ranks",
    ),
    Framework(
        name="HAI-LLM",
        words=r"hai-?llm|dualpipe",
        gradients="fp32",
        zero=1,
        schedule="zero-bubble",
        recompute=("selective", "full"),
        overlap={"enabled": True, "parameters": True, "pipeline": True, "expert": True},
        expert_tensor=1,
        dtype="fp8",
        source="DeepSeek-AI, arXiv:2412.19437, section 3.2: DualPipe (taken as zero-bubble), dispatch and "
        "combine beside computation, ZeRO 1; section 3.3: fp8 products, fp32 gradients",
    ),
    Framework(
        name="Megatron-DeepSpeed with FlashAttention",
        words=r"megatron-?\s*deep-?speed.*flash-?\s*attention",
        attention="flash-2",
        zero=1,
        overlap=_SERIAL,
        sequence_parallel=False,
        uneven="last",
        source="deepspeedai/Megatron-DeepSpeed README (--use-flash-attn-v2, ZeRO 1 with pipelines); "
        "DeepSpeed runtime/pipe/engine.py: gradients are reduced after the schedule, sends block",
    ),
    Framework(
        name="Megatron-DeepSpeed on Jean Zay",
        words=r"megatron-?\s*deep-?speed|bigscience|bloom",
        where="jean zay",
        before=2022,
        host={"launch": "blocking"},
        **_MEGATRON_DEEPSPEED,
        source="bigscience-workshop/bigscience chronicles-prequel.md (ZeRO stage 1, activation checkpoints; "
        "78 layers on 12 stages are 7 each and 1 on the last; CUDA_LAUNCH_BLOCKING=1, 'dealing with JZ "
        "hanging') and as elsewhere",
    ),
    Framework(
        name="Megatron-DeepSpeed (2022)",
        words=r"megatron-?\s*deep-?speed|bigscience|bloom",
        before=2022,
        **_MEGATRON_DEEPSPEED,
        source="DeepSpeed runtime/pipe/engine.py: gradients are reduced after the schedule, sends block; "
        "runtime/bf16_optimizer.py: bf16 gradients and undivided fp32 sums; Megatron's fused softmax kernel; "
        "Smith et al., arXiv:2201.11990, section 2: activation checkpoints",
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
        name="Megatron-LM (2022 and 2023)",
        words=r"megatron-lm.*\b202[23]\b",
        attention="unfused",
        interleaves=True,
        overlap={"enabled": False, "parameters": False, "pipeline": False},
        source="Korthikanti et al., arXiv:2205.05198, sections 4 to 6 (sequence parallelism, selective "
        "recomputation, gathers beside the backward products); NVIDIA/Megatron-LM at 285068c8: "
        "gradients reduced after the schedule (--overlap-grad-reduce is of October 2023), fused "
        "softmax unless --use-flash-attn",
    ),
    Framework(
        name="Megatron-Bridge",
        words=r"megatron-?\s*bridge|nemo (?:container )?2[5-9]\.",
        gradients="half",
        zero=1,
        always_divides=True,
        recompute=("none",),
        overlap=_MEGATRON_CORE,
        host=_TRANSFORMER_ENGINE,
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
        always_divides=True,
        interleaves=True,
        overlap=_MEGATRON_CORE,
        host=_TRANSFORMER_ENGINE,
        dtype="fp8",
        source="mlcommons/training_results_v3.0 and v3.1, NVIDIA's gpt3 entries: NeMo with the interleaved "
        "schedule, FP8 of Transformer Engine, distributed optimizer, tensor parallelism overlapped",
    ),
    Framework(
        name="NeMo",
        words=r"nemo|nvidia release",
        gradients="half",
        zero=1,
        always_divides=True,
        recompute=("none",),
        interleaves=True,
        overlap=_MEGATRON_CORE,
        host=_TRANSFORMER_ENGINE,
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
        host=_TRANSFORMER_ENGINE,
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


def framework_of(words: str, *, year: int, system: str = "") -> Framework:
    """Return the rule for a framework as a table names it.

    Parameters
    ----------
    year
        When the GPU was announced.
    system
        Where it ran, as a table names it.
    """
    return next(
        rule
        for rule in FRAMEWORKS
        if re.search(rule.words, words, re.IGNORECASE)
        and re.search(rule.where, system, re.IGNORECASE)
        and (rule.before is None or year < rule.before)
    )
