"""What offload takes from GPU memory, and puts into that of the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from clustersim.cost.training.training_cost import LayerCost
from clustersim.errors import InputError, Problem
from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.memory import MemoryBreakdown, offloaded
from clustersim.workloads.training.schedules import kept_in_flight
from clustersim.workloads.training.techniques.activations import ActivationTraffic

__all__ = ["activation_traffic", "divided_memory"]


def activation_traffic(
    spec: TrainingSpec, chunks: Sequence[Sequence[LayerCost]]
) -> tuple[ActivationTraffic, ...]:
    """Return what each chunk of the model says to the host.

    Raises
    ------
    InputError
        Where a chunk has no layer left that stays, and for a schedule whose weight passes come later.
    """
    layers = spec.offload.activation_layers
    found = tuple(ActivationTraffic(chunk, layers=layers) for chunk in chunks)
    fewest = min(traffic.layers for traffic in found)
    if layers and layers >= fewest:
        message = f"{layers} of {fewest} layers of a chunk; the last stays, as it is needed again at once"
        raise InputError(Problem(("offload", "activation_layers"), f"{message}: at most {fewest - 1}"))
    if layers and spec.parallelism.chosen_schedule == "zero-bubble":
        message = "come up for the backward pass, and a zero-bubble schedule needs them longer"
        raise InputError(Problem(("offload", "activation_layers"), message))
    return found


def divided_memory(
    spec: TrainingSpec,
    memory: Sequence[MemoryBreakdown],
    traffic: Sequence[ActivationTraffic],
    *,
    micro_batches: int,
) -> tuple[tuple[MemoryBreakdown, ...], tuple[Mapping[str, float], ...]]:
    """Return what stays on a GPU of each stage, and its bytes on the host by use.

    Gradients on the host leave two buckets on the GPU, activations the two largest layers of each chunk.

    Parameters
    ----------
    memory
        With what stays of activations alone.
    micro_batches
        Of one replica in an iteration.
    """
    uses = {"master_weights": 1.0, "optimizer_states": 1.0} if spec.offload.optimizer else {}
    if spec.offload.gradients:
        uses["gradients"] = 1.0
    stages = len(memory)
    on_gpu: list[MemoryBreakdown] = []
    on_host: list[Mapping[str, float]] = []
    for stage, whole in enumerate(memory):
        own = traffic[stage::stages]
        left, moved = offloaded(whole, uses)
        buffers = min(2.0 * spec.overlap.gradient_bucket, moved.get("gradients", 0.0))
        buffers += sum(chunk.buffer_bytes for chunk in own)
        on_gpu.append(replace(left, collective_buffers=left.collective_buffers + buffers))
        activations = _kept_bytes(spec, own, stage=stage, stages=stages, micro_batches=micro_batches)
        host = {**moved, "activations": activations}
        on_host.append({use: size for use, size in host.items() if size})
    return tuple(on_gpu), tuple(on_host)


def _kept_bytes(
    spec: TrainingSpec, own: Sequence[ActivationTraffic], *, stage: int, stages: int, micro_batches: int
) -> float:
    """Return the most that the activations of a stage take on the host."""
    if not spec.offload.activation_layers:
        return 0.0
    flights = kept_in_flight(
        spec.parallelism.chosen_schedule, stages=stages, micro_batches=micro_batches, chunks=len(own)
    )
    return max(
        sum(count * chunk.moved_bytes for count, chunk in zip(flight.backward, own, strict=True))
        for flight in flights[stage]
    )
