"""Whether a training job fits into the memory of its GPUs, and which nearby layouts do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clustersim.catalog.accelerators import Accelerator
from clustersim.errors import CannotRunError, InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.laid_out import LaidOut, Model
from clustersim.workloads.training.memory import MemoryBreakdown

__all__ = ["Room"]

_RECOMPUTE = ("none", "selective", "full")
_LARGEST = {"tensor": 16, "pipeline": 64}
"""Larger groups are not proposed: none is known in training (1T of Narayanan et al., SC21: 64 stages)."""


@dataclass(frozen=True)
class Room:
    """The GPUs that a job is to fit into.

    Parameters
    ----------
    gpus
        Their names.
    memory_bytes
        Of the smallest of them.
    teacher
        The model whose logits a job is trained on.
    """

    model: Model
    accelerator: Accelerator
    gpus: Sequence[str]
    memory_bytes: float
    teacher: Model | None = None

    def check(self, spec: TrainingSpec, memory: Sequence[MemoryBreakdown]) -> None:
        """Refuse a job that does not fit.

        Raises
        ------
        CannotRunError
            With the memory of the worst stage by use, and the nearest layouts that fit.

        **Checked by:** tests/workloads/test_training_memory.py.
        """
        worst = max(memory, key=lambda stage: stage.total_bytes)
        if worst.total_bytes <= self.memory_bytes:
            return
        where = f"stage {memory.index(worst)} of {len(memory)}" if len(memory) > 1 else "a replica"
        parts = ", ".join(f"{use} {_size(size)}" for use, size in worst.items() if size)
        message = (
            f"{where} needs {_size(worst.total_bytes)} of GPU memory, {self.accelerator.name} has "
            f"{_size(self.memory_bytes)} ({parts}); {self._advice(spec)}"
        )
        raise CannotRunError(Problem(("micro_batch",), message))

    def fitting(self, spec: TrainingSpec) -> Iterator[tuple[str, float]]:
        """Yield what makes the job fit if it is changed alone, nearest value of each, with its bytes."""
        seen = set()
        for field, value, changed in _changes(spec, gpus=len(self.gpus)):
            needed = self._needed_bytes(changed) if field not in seen else None
            if needed is not None and needed <= self.memory_bytes:
                seen.add(field)
                yield f"{field}: {value}", needed

    def _needed_bytes(self, spec: TrainingSpec) -> float | None:
        try:
            laid_out = LaidOut.of(
                spec,
                model=self.model,
                accelerator=self.accelerator,
                gpus=self.gpus,
                teacher=self.teacher,
            )
        except InputError:
            return None
        return max(stage.total_bytes for stage in laid_out.memory)

    def _advice(self, spec: TrainingSpec) -> str:
        found = list(self.fitting(spec))
        if not found and spec.recompute != "full":
            recomputed = spec.model_copy(update={"recompute": "full"})
            found = [(f"{change}' and 'recompute: full", size) for change, size in self.fitting(recomputed)]
        if not found:
            return (
                "no other recompute, micro_batch, zero, tensor or pipeline makes it fit; take more GPUs, "
                "GPUs with more memory, or a smaller model or sequence"
            )
        return "it fits with " + " or ".join(f"'{change}' ({_size(size)})" for change, size in found)


def _changes(spec: TrainingSpec, *, gpus: int) -> Iterator[tuple[str, Any, TrainingSpec]]:
    """Yield jobs that differ in one field and take less memory, those nearest first by field."""
    layout = spec.parallelism
    for recompute in _RECOMPUTE[_RECOMPUTE.index(spec.recompute) + 1 :]:
        yield "recompute", recompute, spec.model_copy(update={"recompute": recompute})
    data = gpus // (layout.tensor * layout.context * layout.pipeline)
    batch = spec.micro_batch * data if spec.global_batch is None else spec.global_batch
    spec = spec.model_copy(update={"global_batch": batch})
    for micro_batch in _halves(spec.micro_batch):
        yield "micro_batch", micro_batch, spec.model_copy(update={"micro_batch": micro_batch})
    for zero in range(layout.zero + 1, 4):
        yield "zero", zero, _relaid(spec, zero=zero)
    for field, largest in _LARGEST.items():
        for size in _doubles(getattr(layout, field), most=min(gpus, largest)):
            yield field, size, _relaid(spec, data=None, layers_per_stage=None, **{field: size})


def _relaid(spec: TrainingSpec, **fields: Any) -> TrainingSpec:
    return spec.model_copy(update={"parallelism": spec.parallelism.model_copy(update=fields)})


def _halves(value: int) -> Iterator[int]:
    while value % 2 == 0:
        value //= 2
        yield value


def _doubles(value: int, *, most: int) -> Iterator[int]:
    while 2 * value <= most:
        value *= 2
        yield value


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.3g} GiB"
