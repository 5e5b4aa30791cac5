"""All that the GPUs of a job say to each other in an iteration, counted and not simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from clustersim.workloads.training.compile import StagePlan
from clustersim.workloads.training.job import TrainingJob
from clustersim.workloads.training.program import Launch

__all__ = ["GroupMessage", "StageSend", "group_messages", "stage_sends", "tied_sum"]


class GroupMessage(NamedTuple):
    """A collective that each group of a dimension runs.

    Parameters
    ----------
    dimension
        A key of `clustersim.workloads.training.layout.Layout.groups`.
    collective, size_bytes
        Kind and size, as `clustersim.collectives.Communicator` counts it.
    """

    dimension: str
    collective: str
    size_bytes: float


class StageSend(NamedTuple):
    """What each rank of a pipeline stage sends to its peer in another in an iteration, both ways together."""

    stage: int
    other: int
    size_bytes: float
    times: int


def group_messages(stage: StagePlan, micro_batches: int) -> Counter[GroupMessage]:
    """Return how often in an iteration the groups of a stage run each collective.

    Those inside layers, and those between replicas: gradients, and parameters that are gathered. What
    workers exchange once in a while (`local_steps`) and the norm's four bytes are not among them.
    """
    said: Counter[GroupMessage] = Counter()
    for launch, times in _between_replicas(stage):
        said[GroupMessage(launch.dimension, launch.collective, launch.size_bytes)] += times
    for chunk in stage.chunks:
        for block in chunk:
            for message in (*block.messages_forward, *block.messages_backward):
                key = GroupMessage(message.dimension, message.collective, message.size_bytes)
                said[key] += message.count * micro_batches
    return said


def stage_sends(job: TrainingJob) -> Iterator[StageSend]:
    """Yield what passes between chunks of neighbouring stages: activations, and their gradients back."""
    chunks, stages = job.chunks, job.layout.pipeline
    for place in range(len(chunks) - 1 if stages > 1 else 0):
        both_ways = chunks[place][-1].output_bytes + chunks[place + 1][0].output_bytes
        yield StageSend(place % stages, (place + 1) % stages, both_ways, job.micro_batches)


def tied_sum(job: TrainingJob) -> GroupMessage | None:
    """Return the sum of gradients of embeddings that the first and last stage have in common."""
    tied = job.stages[0].tied_bytes if job.layout.pipeline > 1 else 0.0
    return GroupMessage("embedding", "all_reduce", tied) if tied else None


def _between_replicas(stage: StagePlan) -> Iterator[tuple[Launch, int]]:
    replication, zero = stage.replication, stage.replication.layout.zero
    passes = sum(each.kind == "backward" for each in stage.order) // len(stage.chunks) if zero >= 2 else 1
    for layers in stage.chunks:
        for launch in replication.gradients("g", layers):
            yield launch, passes
        if zero:
            for launch in replication.parameters("p", layers, stream="data"):
                yield launch, 2 * passes if zero == 3 else 1
