"""Bytes on the GPUs of a training job, by pipeline stage and use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from clustersim.cost.optimizers import StateBytes
from clustersim.cost.training.training_cost import LayerCost
from clustersim.spec.training import OverlapSpec
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.schedules import InFlight, kept_in_flight
from clustersim.workloads.training.stages import layer_units, stage_chunks

__all__ = ["MemoryBreakdown", "activation_bytes", "offloaded", "stage_memory", "stored_bytes"]

FRAMEWORK_BYTES = 2.0 * 2**30
"""Driver context, loaded kernels and workspaces of a process on a GPU: assumed."""

COMMUNICATOR_BYTES = 16 * 2 * 4.0 * 2**20
"""Buffers of one NCCL communicator: 4 MiB (`NCCL_BUFFSIZE`) for each channel and each of the two
neighbours in a ring (NVIDIA/nccl, issues 285 and 864); 16 channels are assumed."""


@dataclass(frozen=True, kw_only=True)
class MemoryBreakdown:
    """Bytes on one GPU of a stage, by use.

    Parameters
    ----------
    weights, master_weights, gradients, optimizer_states
        Of the GPU's parameters, as far as ZeRO does not divide them.
    activations
        Of all micro-batches in flight, at the worst moment of the iteration.
    collective_buffers
        Parameters and gradients that collectives gather for a short time, and their channels' buffers.
    framework
        What every process has.
    """

    weights: float
    master_weights: float
    gradients: float
    optimizer_states: float
    activations: float
    collective_buffers: float = 0.0
    framework: float = FRAMEWORK_BYTES

    def items(self) -> tuple[tuple[str, float], ...]:
        """Return use and bytes, in words."""
        return tuple((field.name, getattr(self, field.name)) for field in fields(self))

    @property
    def total_bytes(self) -> float:
        """All of it."""
        return sum(size_bytes for _, size_bytes in self.items())


def stage_memory(
    chunks: Sequence[Sequence[LayerCost]],
    *,
    layout: Layout,
    schedule: str,
    micro_batches: int,
    per_parameter: StateBytes,
    overlap: OverlapSpec,
) -> tuple[MemoryBreakdown, ...]:
    """Return what a GPU of each stage holds at the worst moment of an iteration.

    *Equation.* With P dense and E expert parameters on the GPU, of which z and y ranks divide the states:
    states b·(P/z + E/y), with b bytes per parameter; ZeRO 1 divides master weights and optimizer states,
    2 gradients too, 3 weights too. Activations: max over the iteration of Σ_chunks n_c·A_c, with n_c
    micro-batches of chunk c in flight and A_c bytes for each; and the layer that is being recomputed.

    Parameters
    ----------
    chunks
        Blocks of each chunk of the model, in its order: what `stages.assign` returns.
    micro_batches
        Of one replica in an iteration.

    **Valid when** nothing fragments: allocators of frameworks waste some percent.
    **Source:** Rajbhandari et al., "ZeRO", SC20, sections 3 and 5; Korthikanti et al., 2022, section 4.
    **Checked by:** tests/workloads/test_training_memory.py.
    """
    virtual_stages = len(chunks) // layout.pipeline
    flights = kept_in_flight(
        schedule, stages=layout.pipeline, micro_batches=micro_batches, chunks=virtual_stages
    )
    found = []
    for stage, in_flight in enumerate(flights):
        own = stage_chunks(chunks, stage=stage, stages=layout.pipeline)
        blocks = [block for chunk in own for block in chunk]
        memory = MemoryBreakdown(
            **stored_bytes(_with_copies(blocks, stages=layout.pipeline), layout, per_parameter),
            activations=activation_bytes(own, in_flight),
            collective_buffers=_buffer_bytes(blocks, layout, per_parameter, overlap),
        )
        found.append(memory)
    return tuple(found)


def stored_bytes(blocks: Iterable[LayerCost], layout: Layout, per_parameter: StateBytes) -> dict[str, float]:
    """Return the bytes of weights, master weights, gradients and optimizer states on a GPU."""
    blocks = list(blocks)
    dense = sum(block.parameters for block in blocks)
    experts = sum(block.expert_parameters for block in blocks)
    frozen = sum(block.frozen_parameters for block in blocks)
    divided = dense / layout.zero_ranks + experts / layout.expert_zero_ranks
    trained = {stage: divided if layout.zero >= stage else float(dense + experts) for stage in (1, 2, 3)}
    kept_frozen = frozen / layout.zero_ranks if layout.zero == 3 else float(frozen)
    return {
        "weights": per_parameter.weights * (trained[3] + kept_frozen),
        "gradients": per_parameter.gradients * trained[2],
        "master_weights": per_parameter.master_weights * trained[1],
        "optimizer_states": per_parameter.optimizer_states * trained[1],
    }


def activation_bytes(chunks: Sequence[Sequence[LayerCost]], in_flight: Iterable[InFlight]) -> float:
    """Return the largest sum of activations that a stage keeps, and of the layer that it recomputes.

    Of a micro-batch whose weight pass is to come, what the output and the loss have kept is gone.
    """
    kept = [sum(block.activation_bytes for block in chunk) for chunk in chunks]
    for_weights = [
        sum(block.activation_bytes for block in chunk if block.name != "output") for chunk in chunks
    ]
    peak_bytes = max(
        sum(count * size for count, size in zip(flight.backward, kept, strict=True))
        + sum(count * size for count, size in zip(flight.weight, for_weights, strict=True))
        for flight in in_flight
    )
    layers = (unit for chunk in chunks for unit in layer_units(chunk))
    recomputed = (sum(block.recomputed_bytes for block in layer) for layer in layers)
    return peak_bytes + max(recomputed, default=0.0)


def offloaded(
    memory: MemoryBreakdown, fractions: Mapping[str, float]
) -> tuple[MemoryBreakdown, Mapping[str, float]]:
    """Move fractions of some uses to the host; return what stays on the GPU, and bytes on the host by use.

    **Checked by:** tests/workloads/test_training_memory.py.
    """
    moved = {use: size_bytes * fractions[use] for use, size_bytes in memory.items() if use in fractions}
    left = {use: getattr(memory, use) - size_bytes for use, size_bytes in moved.items()}
    return replace(memory, **left), MappingProxyType(moved)


def _with_copies(blocks: Sequence[LayerCost], *, stages: int) -> list[LayerCost]:
    """Count a copy of tied embeddings where the stage of the output is not that of the embedding."""
    if stages == 1:
        return list(blocks)
    return [
        replace(block, parameters=block.parameters + block.shared_parameters)
        if block.shared_parameters
        else block
        for block in blocks
    ]


def _buffer_bytes(
    blocks: Sequence[LayerCost], layout: Layout, per_parameter: StateBytes, overlap: OverlapSpec
) -> float:
    return (
        _gathered_bytes(blocks, layout, per_parameter, overlap)
        + _message_bytes(blocks, layout)
        + COMMUNICATOR_BYTES * _communicators(layout)
    )


def _gathered_bytes(
    blocks: Sequence[LayerCost], layout: Layout, per_parameter: StateBytes, overlap: OverlapSpec
) -> float:
    """Return what ZeRO puts together for a short time.

    ZeRO 2: the bucket that is being filled, and the one before it. ZeRO 3: parameters of the layer at work
    and of those ahead of it, gradients of one layer. Without either, gradients are reduced where they
    lie (PyTorch's `gradient_as_bucket_view`, Megatron-LM's contiguous buffer), and so are updated weights
    gathered.
    """
    if layout.zero < 2 or layout.zero_ranks == 1:
        return 0.0
    layers = [sum(map(_parameters, unit)) for unit in layer_units(blocks)]
    gradients = per_parameter.gradients * max(layers)
    if layout.zero == 2:
        largest = per_parameter.gradients * max(map(_parameters, blocks))
        whole = per_parameter.gradients * sum(layers)
        return min(2.0 * max(overlap.gradient_bucket, largest), whole)
    together = min(1 + overlap.prefetch, len(layers))
    return per_parameter.weights * sum(sorted(layers)[-together:]) + gradients


def _parameters(block: LayerCost) -> int:
    return block.parameters + block.expert_parameters + block.frozen_parameters


def _message_bytes(blocks: Sequence[LayerCost], layout: Layout) -> float:
    """Return what stages send and receive (one each way), and inputs that sequence parallelism gathers.

    **Source:** Megatron-LM keeps one buffer for gathered inputs (`GlobalMemoryBuffer`).
    """
    output_bytes = max(block.output_bytes for block in blocks)
    exchanged = 2.0 * output_bytes if layout.pipeline > 1 else 0.0
    return exchanged + (output_bytes * layout.tensor if layout.shard.divides_sequence else 0.0)


def _communicators(layout: Layout) -> int:
    sizes = (
        layout.tensor,
        layout.context,
        layout.pipeline,
        layout.data * layout.context,
        layout.expert,
        layout.expert_data if layout.expert > 1 else 1,
    )
    return sum(size > 1 for size in sizes)
