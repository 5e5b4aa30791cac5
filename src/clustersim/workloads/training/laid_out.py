"""A training job laid out over GPUs: its layout, cost, stages and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.cost.launches import LaunchTimes
from clustersim.cost.optimizers import StateBytes, optimizer_bytes
from clustersim.cost.training.training_cost import LayerCost, TrainingCost, training_cost
from clustersim.spec.host import HostSpec
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.divisibility import Sizes, check_model, micro_batches, worker_sizes
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.memory import MemoryBreakdown, stage_memory
from clustersim.workloads.training.stages import divide
from clustersim.workloads.training.techniques.activations import ActivationTraffic
from clustersim.workloads.training.techniques.distillation import check_pair, with_teacher
from clustersim.workloads.training.techniques.feedback import with_feedback
from clustersim.workloads.training.techniques.host_memory import activation_traffic, divided_memory
from clustersim.workloads.training.techniques.local_steps import with_outer_states
from clustersim.workloads.training.techniques.lora import adapters_of

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
    host_memory
        Of each stage: what one GPU has on its host, by use.
    traffic
        Activations of each chunk that go to the host.
    """

    layout: Layout
    micro_batches: int
    cost: TrainingCost
    chunks: Sequence[Sequence[LayerCost]]
    memory: tuple[MemoryBreakdown, ...]
    host_memory: tuple[Mapping[str, float], ...]
    traffic: tuple[ActivationTraffic, ...]

    @classmethod
    def of(
        cls,
        spec: TrainingSpec,
        *,
        model: Model,
        accelerator: Accelerator,
        gpus: Sequence[str],
        teacher: Model | None = None,
    ) -> Self:
        """Lay a job out over GPUs of one kind.

        Parameters
        ----------
        teacher
            The model whose logits it is trained on.

        Raises
        ------
        InputError
            For numbers that do not divide.
        """
        sizes = worker_sizes(Sizes.of(spec.parallelism, gpus=len(gpus)), spec)
        layout = Layout.of(spec.parallelism, gpus=gpus, sizes=sizes)
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
            gradient_bytes=_gradient_bytes(spec),
            adapters=adapters_of(spec.lora),
            launches=_launches(spec.host, accelerator),
            captured=spec.host.captured,
            modules=spec.recompute_modules,
        )
        chunks = divide(cost.layers, layout, spec)
        if teacher is not None:
            pair = check_pair(model, teacher)
            chunks = with_teacher(spec, chunks, pair=pair, accelerator=accelerator, layout=layout)
        traffic = activation_traffic(spec, chunks)
        memory, host_memory = _memory(spec, layout, cost, chunks, traffic, passes)
        return cls(
            layout=layout,
            micro_batches=passes,
            cost=cost,
            chunks=chunks,
            memory=memory,
            host_memory=host_memory,
            traffic=traffic,
        )


def _memory(
    spec: TrainingSpec,
    layout: Layout,
    cost: TrainingCost,
    chunks: Sequence[Sequence[LayerCost]],
    traffic: Sequence[ActivationTraffic],
    passes: int,
) -> tuple[tuple[MemoryBreakdown, ...], tuple[Mapping[str, float], ...]]:
    """Return what a GPU of each stage has in its own memory, and what it has on its host."""
    memory = stage_memory(
        [each.kept(chunk) for each, chunk in zip(traffic, chunks, strict=True)],
        layout=layout,
        schedule=spec.parallelism.chosen_schedule,
        micro_batches=passes,
        per_parameter=_state_bytes(spec, cost.gradient_bytes_per_parameter),
        overlap=spec.overlap,
    )
    memory = with_feedback(spec, with_outer_states(spec, memory, chunks, layout))
    return divided_memory(spec, memory, traffic, micro_batches=passes)


def _launches(host: HostSpec, accelerator: Accelerator) -> LaunchTimes:
    """Return what the host takes for each kernel."""
    given_s = host.kernel_launch
    kernel_s = accelerator.kernel_launch_s if given_s is None else given_s / accelerator.speed.host
    return LaunchTimes(
        kernel_s=kernel_s,
        product_s=host.product_factor * kernel_s,
        blocking=host.launch == "blocking",
        host_speed=accelerator.speed.host,
    )


def _gradient_bytes(spec: TrainingSpec) -> float | None:
    """Return the width that the job asks for; None where it leaves that to the precision."""
    if spec.gradients is None or spec.precision in ("fp32", "tf32"):
        return None
    if spec.gradients == "both" and spec.precision == "fp16":
        return None
    return 2.0 if spec.gradients == "half" else 4.0


def _state_bytes(spec: TrainingSpec, gradient_bytes: float) -> StateBytes:
    """Return the bytes of a parameter, with bf16 gradients beside those in fp32 where both are kept."""
    states = optimizer_bytes(spec.optimizer, spec.precision, gradient_bytes=gradient_bytes)
    if spec.gradients == "both" and spec.precision in ("bf16", "fp8"):
        return states._replace(gradients=states.gradients + 2.0)
    return states
