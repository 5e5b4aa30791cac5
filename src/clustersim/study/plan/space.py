"""Which layouts a plan search looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clustersim.catalog.models import TransformerModel
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.laid_out import Model

__all__ = ["RULES", "Limits", "SearchSpace"]

RULES = (
    "Tensor groups divide a node or are whole nodes, and divide the model's heads and widths; up to the "
    "GPUs of a node, at most 16.",
    "Stages divide the job; at most 64, and no more than layers.",
    "Context groups are powers of two that leave each GPU 4,096 tokens of every sequence; keys and values go "
    "around a ring or are gathered.",
    "Experts are divided by powers of two of GPUs, at most 64, each expert on one GPU (as NVIDIA's Megatron "
    "Core advises).",
    "Micro-batches are powers of two of samples up to 8, that divide the global batch; there are as many as "
    "stages, or more.",
    "Sequence parallelism goes with tensor parallelism wherever the sequence divides: it moves the same "
    "bytes and keeps less.",
    "Schedules: 1F1B, ZB-H1, and interleaved 1F1B with 2 to 8 chunks per stage that divide the layers, "
    "embedding and output counted as layers or not; GPipe never, as it keeps more than 1F1B and has the same "
    "bubble.",
    "With replicas ZeRO 1, which moves the same bytes as none and keeps less; ZeRO 2 and 3 without stages "
    "only, as they repeat their collectives for every micro-batch.",
    "Recomputation: the first of none, selective (unfused attention), full for half of the layers of a "
    "stage, full that fits, as more of it only takes longer.",
    "Ranks in the order of Megatron-LM, tensor groups innermost, on the first GPUs of the cluster.",
)
"""What is looked at, and why nothing else."""

_TOKENS_PER_GPU = 4096
"""Context parallelism is for long sequences: Llama 3 kept 8,192 per GPU (Llama team, 2024, table 4)."""

_MOST_CHUNKS = 8


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest size of each dimension; None for what `RULES` says."""

    tensor: int | None = None
    pipeline: int = 64
    context: int = 64
    expert: int = 64
    micro_batch: int = 8


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """All layouts of one job that `RULES` lets through.

    Parameters
    ----------
    base
        What all have in common, with `gpus` and `global_batch`.
    model
        What is trained.
    node_gpus
        GPUs of a node of the cluster.
    """

    base: TrainingSpec
    model: Model
    node_gpus: int
    limits: Limits = Limits()

    def ladders(self) -> Iterator[tuple[TrainingSpec, ...]]:
        """Yield layouts, each as the same one with less and less kept for the backward pass."""
        for layout in self._grids():
            for micro_batch in self._micro_batches(layout):
                data = self.base.gpus // (layout["tensor"] * layout["pipeline"] * layout["context"])
                passes = self._global_batch // (micro_batch * data)
                for orders in self._orders(layout, passes):
                    for zero in self._zeros(layout, data):
                        fields = {**layout, **orders, "zero": zero}
                        yield tuple(self._recomputed(fields, micro_batch))

    @property
    def _global_batch(self) -> int:
        assert self.base.global_batch is not None
        return self.base.global_batch

    @property
    def _layers(self) -> int:
        return self.model.layers if isinstance(self.model, TransformerModel) else 1

    # ---- sizes of the grid

    def _grids(self) -> Iterator[dict[str, Any]]:
        gpus = self.base.gpus
        for tensor in self._tensors():
            for pipeline in _divisors(gpus // tensor, most=min(self.limits.pipeline, self._layers)):
                for context in self._contexts(gpus // (tensor * pipeline)):
                    data = gpus // (tensor * pipeline * context)
                    if self._global_batch % data:
                        continue
                    grid: dict[str, Any] = {"tensor": tensor, "pipeline": pipeline, "context": context}
                    grid["sequence"] = self._divides_sequence(tensor, context)
                    for experts in self._experts(tensor, context, data):
                        for exchange in ("ring", "all-gather") if context > 1 else ("ring",):
                            yield {**grid, **experts, "context_exchange": exchange}

    def _tensors(self) -> Iterator[int]:
        model = self.model
        if not isinstance(model, TransformerModel):
            yield 1
            return
        node, limit = self.node_gpus, self.limits.tensor
        for size in _divisors(self.base.gpus, most=min(node, 16) if limit is None else limit):
            in_nodes = node % size == 0 or size % node == 0
            kv_heads = 0 if model.mla is not None else max(size, model.kv_heads) % min(size, model.kv_heads)
            if in_nodes and not (model.heads % size or model.ffn_hidden % size or kv_heads):
                yield size

    def _contexts(self, left: int) -> Iterator[int]:
        if not isinstance(self.model, TransformerModel):
            yield 1
            return
        size = 1
        while left % size == 0 and size <= self.limits.context:
            if size == 1 or self._sequence // size >= _TOKENS_PER_GPU:
                yield size
            size *= 2

    @property
    def _sequence(self) -> int:
        assert isinstance(self.model, TransformerModel)
        return self.base.sequence or self.model.max_sequence

    def _divides_sequence(self, tensor: int, context: int) -> bool | None:
        if tensor == 1 or not isinstance(self.model, TransformerModel):
            return None
        parts = context * tensor * (2 if context > 1 and self.model.causal else 1)
        return None if self._sequence % parts == 0 else False

    def _experts(self, tensor: int, context: int, data: int) -> Iterator[dict[str, Any]]:
        moe = self.model.moe if isinstance(self.model, TransformerModel) else None
        if moe is None:
            yield {}
            return
        ranks = tensor * context * data
        size = 1
        while size <= min(self.limits.expert, moe.experts) and ranks % size == 0:
            if moe.experts % size == 0:
                yield {"expert": size, "expert_tensor": 1}
            size *= 2

    # ---- what a grid leaves open

    def _micro_batches(self, layout: dict[str, Any]) -> Iterator[int]:
        data = self.base.gpus // (layout["tensor"] * layout["pipeline"] * layout["context"])
        size = 1
        while size <= self.limits.micro_batch and self._global_batch % (size * data) == 0:
            if self._global_batch // (size * data) >= layout["pipeline"]:
                yield size
            size *= 2

    def _orders(self, layout: dict[str, Any], passes: int) -> Iterator[dict[str, Any]]:
        stages = layout["pipeline"]
        yield {}
        if stages == 1:
            return
        yield {"schedule": "zero-bubble"}
        for chunks in range(2, _MOST_CHUNKS + 1):
            divides = any((self._layers + ends) % (stages * chunks) == 0 for ends in range(3))
            if passes % stages == 0 and divides and stages * chunks <= self._layers:
                yield {"virtual_stages": chunks}

    def _zeros(self, layout: dict[str, Any], data: int) -> Iterator[int]:
        if data * layout["context"] == 1:
            yield 0
            return
        yield 1
        if layout["pipeline"] == 1:
            yield 2
            yield 3

    def _recomputed(self, fields: dict[str, Any], micro_batch: int) -> Iterator[TrainingSpec]:
        parallelism = self.base.parallelism.model_copy(update=fields)
        layers = self._layers // fields["pipeline"]
        steps: list[dict[str, Any]] = [{"recompute": "none"}, {"recompute": "full"}]
        if layers > 1:
            steps.insert(1, {"recompute": "full", "recompute_layers": layers // 2})
        if self.base.attention == "unfused":
            steps.insert(1, {"recompute": "selective"})
        for step in steps:
            changes = {"parallelism": parallelism, "micro_batch": micro_batch, "recompute_layers": None}
            yield self.base.model_copy(update=changes | step)


def _divisors(number: int, *, most: int) -> Iterator[int]:
    return (size for size in range(1, min(number, most) + 1) if number % size == 0)
