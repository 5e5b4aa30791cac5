"""A training job laid out over GPUs: its layout, cost, stages and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.cost.optimizers import optimizer_bytes
from clustersim.cost.training import LayerCost, TrainingCost, training_cost
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.divisibility import check_model, micro_batches
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.memory import MemoryBreakdown, stage_memory
from clustersim.workloads.training.stages import divide

__all__ = ["LaidOut", "Model"]

Model = TransformerModel | LayerTableModel


@dataclass(frozen=True, eq=False, kw_only=True)
class LaidOut:
    """What follows from a spec, a model and the names of GPUs, whatever connects them.

    Parameters
    ----------
    micro_batches
        Of one replica in an iteration.
    chunks
        Layers of each chunk of the model, in its order.
    memory
        Of a GPU of each stage.
    """

    layout: Layout
    micro_batches: int
    cost: TrainingCost
    chunks: Sequence[Sequence[LayerCost]]
    memory: tuple[MemoryBreakdown, ...]

    @classmethod
    def of(cls, spec: TrainingSpec, *, model: Model, accelerator: Accelerator, gpus: Sequence[str]) -> Self:
        """Lay a job out over GPUs of one kind.

        Raises
        ------
        InputError
            For numbers that do not divide.
        """
        layout = Layout.of(spec.parallelism, gpus=gpus)
        passes = micro_batches(spec, data=layout.data)
        check_model(layout, model, sequence=spec.sequence)
        cost = training_cost(
            model,
            accelerator,
            precision=spec.precision,
            micro_batch=spec.micro_batch,
            sequence=spec.sequence,
            recompute=spec.recompute,
            early_stop=spec.parallelism.zero == 3,  # FSDP wraps layers in PyTorch's checkpoints
            attention=spec.attention,
            shard=layout.shard,
            gradient_bytes=4.0 if spec.gradients == "fp32" else None,
        )
        chunks = divide(cost.layers, layout, spec)
        per_parameter = optimizer_bytes(
            spec.optimizer, spec.precision, gradient_bytes=cost.gradient_bytes_per_parameter
        )
        memory = stage_memory(
            chunks,
            layout=layout,
            schedule=spec.parallelism.chosen_schedule,
            micro_batches=passes,
            per_parameter=per_parameter,
            overlap=spec.overlap,
        )
        return cls(layout=layout, micro_batches=passes, cost=cost, chunks=chunks, memory=memory)
