"""From a row to the jobs that it may have been: what it states, what its framework does, what is tried."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from clustersim.catalog.models import TransformerModel
from clustersim.errors import InputError
from clustersim.spec.training import TrainingSpec
from clustersim.study.validation.training.frameworks import Framework
from clustersim.study.validation.training.row import TrainingRow
from clustersim.study.validation.training.words import (
    Recompute,
    Sharding,
    precision_of,
    recompute_of,
    sharding_of,
)

__all__ = ["MICRO_BATCHES", "candidates"]

MICRO_BATCHES = (1, 2, 4, 8)
"""What is tried where a row does not print it: the best that fits counts."""

_MOST_CHUNKS = 8
"""Chunks per stage beyond which none is known for rows that do not print it."""


@dataclass(frozen=True)
class _Layout:
    """Sizes of all dimensions of a row's layout."""

    tensor: int
    pipeline: int
    context: int
    data: int

    @classmethod
    def of(cls, row: TrainingRow) -> _Layout:
        """Read a layout; where all is divided among replicas (ZeRO 3), what is not given is 1."""
        stated = sharding_of(row.zero)
        missing = [name for name in ("tensor", "pipeline") if getattr(row, name) is None]
        if missing and (stated is None or stated.stage < 3):
            raise InputError(f"the row does not give {' and '.join(missing)} parallelism")
        tensor, pipeline, context = row.tensor or 1, row.pipeline or 1, row.context or 1
        inner = tensor * pipeline * context
        if row.gpus % inner:
            raise InputError(f"{row.gpus} GPUs do not divide by tensor x pipeline x context = {inner}")
        data = row.gpus // inner
        if row.data is not None and row.data != data:
            raise InputError(
                f"{row.gpus} GPUs in groups of tensor x pipeline x context = {inner} are {data} replicas, "
                f"the row says {row.data}"
            )
        return cls(tensor, pipeline, context, data)


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
    layout, precision = _Layout.of(row), precision_of(row.dtype or framework.dtype)
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
                    "recompute": policy.policy,
                    "recompute_layers": _layers(policy, model, layout),
                    "attention": framework.attention,
                    "gradients": framework.gradients,
                    "lora": dict(framework.lora) if "lora" in row.task.lower() else None,
                    "overlap": dict(framework.overlap),
                    "host": dict(framework.host),
                    "steps": 1,
                }
            )


def _recompute(row: TrainingRow, framework: Framework) -> tuple[Recompute, ...]:
    stated = recompute_of(row.recompute)
    return (stated,) if stated else tuple(Recompute(policy) for policy in framework.recompute)


def _layers(policy: Recompute, model: TransformerModel, layout: _Layout) -> int | None:
    """Return the layers of each stage that are recomputed; None for all or none."""
    if policy.share == 1:
        return None
    return math.ceil(policy.share * model.layers / layout.pipeline)


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
    # Embedding and output may count as a layer each, so that the first and last chunk have one less.
    full = (model.layers, model.layers + 2)
    chunks = [count for count in range(2, most + 1) if any(n % (layout.pipeline * count) == 0 for n in full)]
    return [1, *(chunks if passes % layout.pipeline == 0 else [])]


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
        "context_exchange": framework.context_exchange,
        "data": layout.data,
        **_sharding(row, layout, framework),
    }
    if framework.schedule and layout.pipeline > 1 and chunks == 1:
        found["schedule"] = framework.schedule
    if model.moe is not None:
        expert_tensor = row.expert_tensor or framework.expert_tensor
        found["expert"] = row.expert or 1
        if expert_tensor and (row.expert or 1) > 1:
            found["expert_tensor"] = expert_tensor
    if framework.uneven == "last" and model.layers % layout.pipeline and (model.layers + 2) % layout.pipeline:
        found["layers_per_stage"] = _full_but_last(model.layers, layout.pipeline)
    return found


def _sharding(row: TrainingRow, layout: _Layout, framework: Framework) -> dict[str, int]:
    """Return stage and group; a 0 of a framework that always divides optimizer states means no FSDP."""
    stated = sharding_of(row.zero) or Sharding(framework.zero)
    stage = stated.stage
    if stage == 3 and layout.pipeline > 1:
        # With stages, FSDP keeps parameters between micro-batches (torchtitan's
        # reshard_after_forward; Llama 3, arXiv:2407.21783, section 3.3.2).
        stage = framework.zero_with_stages
    if stage == 0 and framework.always_divides:
        stage = 1
    inner = layout.tensor * layout.context
    group = max(1, row.nodes_of // inner) if stated.group == "node" else stated.group
    if not isinstance(group, int) or not 0 < group < layout.data:
        return {"zero": stage}
    if layout.data % group:
        raise InputError(f"{layout.data} replicas do not divide into groups of {group}")
    return {"zero": stage, "shard": group}


def _full_but_last(layers: int, stages: int) -> list[int]:
    """Return as many layers on every stage, and what is left on the last one."""
    each = -(-layers // stages)
    last = layers - each * (stages - 1)
    if last < 1:
        raise InputError(f"{layers} layers do not fill {stages} stages")
    return [each] * (stages - 1) + [last]
