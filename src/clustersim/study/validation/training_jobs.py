"""From a row to the jobs that it may have been: what it states, what its framework does, what is tried."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError
from clustersim.spec.training import TrainingSpec
from clustersim.study.validation.training_frameworks import Framework
from clustersim.study.validation.training_row import TrainingRow

__all__ = ["MICRO_BATCHES", "candidates", "precision_of"]

MICRO_BATCHES = (1, 2, 4, 8)
"""What is tried where a row does not print it: the best that fits counts."""

_MOST_CHUNKS = 8
"""Chunks per stage beyond which none is known for rows that do not print it."""
_PRECISIONS = (
    ("nvfp4", r"(?:nv|mx)?fp4"),
    ("fp8", r"fp8"),
    ("bf16", r"bf16|bfloat16"),
    ("fp16", r"fp16|half|mixed"),
    ("tf32", r"tf32"),
    ("fp32", r"fp32|float32|single"),
)


def precision_of(row: TrainingRow, framework: Framework) -> str:
    """Return the precision of matrix products.

    Raises
    ------
    InputError
        For one that is not known or not modelled.
    """
    words = row.dtype or framework.dtype
    found = [name for name, pattern in _PRECISIONS if re.search(pattern, words, re.IGNORECASE)]
    if not found:
        raise InputError(f"dtype '{row.dtype}' is not known")
    if found[0] == "nvfp4":
        raise InputError("FP4 is not modelled")
    return found[0]


@dataclass(frozen=True)
class _Layout:
    """Sizes of all dimensions of a row's layout."""

    tensor: int
    pipeline: int
    context: int
    data: int

    @classmethod
    def of(cls, row: TrainingRow) -> _Layout:
        missing = [name for name in ("tensor", "pipeline") if getattr(row, name) is None]
        if missing:
            raise InputError(f"the row does not give {' and '.join(missing)} parallelism")
        assert row.tensor is not None
        assert row.pipeline is not None
        context = row.context or 1
        inner = row.tensor * row.pipeline * context
        if row.gpus % inner:
            raise InputError(f"{row.gpus} GPUs do not divide by tensor x pipeline x context = {inner}")
        return cls(row.tensor, row.pipeline, context, row.gpus // inner)


def candidates(row: TrainingRow, model: TransformerModel, framework: Framework) -> Iterator[TrainingSpec]:
    """Yield the jobs that a row may have been, by what is tried: micro-batch, chunks, recomputation.

    Raises
    ------
    InputError
        If the row does not say enough, or nothing divides.
    """
    if row.global_batch is None:
        raise InputError("the global batch is not given")
    if row.sequence is None:
        raise InputError("the sequence length is not given")
    layout, precision = _Layout.of(row), precision_of(row, framework)
    recompute = _recompute(row, framework)
    sizes = list(_micro_batches(row, layout))
    if not sizes:
        raise InputError(
            f"a global batch of {row.global_batch} does not divide by micro-batch x data = "
            f"{row.micro_batch or 1} x {layout.data}"
        )
    for micro_batch in sizes:
        passes = row.global_batch // (micro_batch * layout.data)
        for chunks, policy in product(_chunks(row, model, layout, framework, passes), recompute):
            yield TrainingSpec.model_validate(
                {
                    "kind": "training",
                    "name": "job",
                    "model": model.name.lower().replace(" ", "-") or "model",
                    "gpus": row.gpus,
                    "parallelism": _parallelism(row, model, layout, framework, chunks),
                    "precision": precision,
                    "micro_batch": micro_batch,
                    "global_batch": row.global_batch,
                    "sequence": row.sequence,
                    "recompute": policy,
                    "attention": framework.attention,
                    "gradients": framework.gradients,
                    "lora": dict(framework.lora) if "lora" in row.task.lower() else None,
                    "overlap": dict(framework.overlap),
                    "steps": 1,
                }
            )


def _recompute(row: TrainingRow, framework: Framework) -> tuple[str, ...]:
    words = row.recompute
    if not words:
        return framework.recompute
    if words in ("none", "no", "false", "0", "off"):
        return ("none",)
    if "select" in words:
        return ("selective",)
    if words in ("full", "yes", "true", "1") or "full" in words or "checkpoint" in words:
        return ("full",)
    raise InputError(f"recompute '{row.recompute}' is not known")


def _micro_batches(row: TrainingRow, layout: _Layout) -> Iterator[int]:
    assert row.global_batch is not None
    tried: tuple[int, ...] = MICRO_BATCHES
    if row.micro_batch:
        tried = (row.micro_batch,)
    elif row.accumulation:
        tried = (row.global_batch // (row.accumulation * layout.data),)
    return (size for size in tried if size and row.global_batch % (size * layout.data) == 0)


def _chunks(
    row: TrainingRow, model: TransformerModel, layout: _Layout, framework: Framework, passes: int
) -> list[int]:
    """Return the chunks per stage that are tried."""
    if row.virtual_stages or not framework.interleaves or layout.pipeline == 1:
        return [row.virtual_stages if row.virtual_stages and layout.pipeline > 1 else 1]
    most = min(_MOST_CHUNKS, model.layers // layout.pipeline)
    even = [count for count in range(2, most + 1) if model.layers % (layout.pipeline * count) == 0]
    return [1, *(even if passes % layout.pipeline == 0 else [])]


def _parallelism(
    row: TrainingRow, model: TransformerModel, layout: _Layout, framework: Framework, chunks: int
) -> dict[str, Any]:
    split = framework.sequence_parallel if row.sequence_parallel is None else bool(row.sequence_parallel)
    found: dict[str, Any] = {
        "tensor": layout.tensor,
        "sequence": split and layout.tensor > 1,
        "pipeline": layout.pipeline,
        "virtual_stages": chunks,
        "context": layout.context,
        "data": layout.data,
        "zero": _zero(row, framework),
    }
    if model.moe is not None:
        expert_tensor = row.expert_tensor or framework.expert_tensor
        found["expert"] = row.expert or 1
        if expert_tensor and (row.expert or 1) > 1:
            found["expert_tensor"] = expert_tensor
    if framework.uneven == "last" and model.layers % layout.pipeline and (model.layers + 2) % layout.pipeline:
        found["layers_per_stage"] = _full_but_last(model.layers, layout.pipeline)
    return found


def _zero(row: TrainingRow, framework: Framework) -> int:
    """Return the stage; a column that says 0 of a framework that always divides states means no FSDP."""
    if "fsdp" in row.zero or not row.zero:
        stage = 3 if "fsdp" in row.zero else framework.zero
        # With stages, FSDP keeps parameters between micro-batches (torchtitan's
        # reshard_after_forward; Llama 3, arXiv:2407.21783, section 3.3.2).
        return min(stage, 2) if (row.pipeline or 1) > 1 else stage
    try:
        stage = int(float(row.zero))
    except ValueError:
        raise InputError(f"zero_stage '{row.zero}' is not known") from None
    if stage not in (0, 1, 2, 3):
        raise InputError(f"zero_stage '{row.zero}' is not 0, 1, 2 or 3")
    return 1 if stage == 0 and framework.name in ("Megatron-Bridge", "NeMo", "NeMo in MLPerf") else stage


def _full_but_last(layers: int, stages: int) -> list[int]:
    """Return as many layers on every stage, and what is left on the last one."""
    each = -(-layers // stages)
    last = layers - each * (stages - 1)
    if last < 1:
        raise InputError(f"{layers} layers do not fill {stages} stages")
    return [each] * (stages - 1) + [last]
