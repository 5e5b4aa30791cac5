"""Bytes that an iteration sends between nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from clustersim.workloads.training.compile import StagePlan
from clustersim.workloads.training.crossings import Crossings, NodeMap
from clustersim.workloads.training.job import TrainingJob
from clustersim.workloads.training.program import Launch

__all__ = ["network_bytes"]

_Said = tuple[str, str, float]


def network_bytes(job: TrainingJob, nodes: NodeMap, crossings: Crossings) -> float:
    """Return the bytes that leave nodes in an iteration, over the GPUs of the job.

    *Equation.* Of each collective what a ring sends that goes through each node once
    (`clustersim.workloads.training.crossings`); of sends between stages, those whose ends are in two nodes.

    **Valid when** collectives are rings: trees over many nodes send as much, switches that add up half.
    **Checked by:** tests/study/test_plan_network_bytes.py.
    """
    sent = 0.0
    for stage in job.stages:
        said: Counter[_Said] = Counter()
        for launch, times in _between_replicas(stage):
            said[launch.dimension, launch.collective, launch.size_bytes] += times
        for message in _within(stage, job.micro_batches):
            said[message[:3]] += message[3]
        sent += sum(
            times * crossings.sent_bytes(d, stage.stage, c, size) for (d, c, size), times in said.items()
        )
    if job.layout.pipeline > 1:
        sent += _between_stages(job, nodes)
        tied = job.stages[0].tied_bytes
        sent += crossings.sent_bytes("embedding", 0, "all_reduce", tied) if tied else 0.0
    return sent / job.layout.ranks


def _within(stage: StagePlan, micro_batches: int) -> Iterator[tuple[str, str, float, int]]:
    for chunk in stage.chunks:
        for block in chunk:
            for message in (*block.messages_forward, *block.messages_backward):
                yield message.dimension, message.collective, message.size_bytes, message.count * micro_batches


def _between_replicas(stage: StagePlan) -> Iterator[tuple[Launch, int]]:
    replication, zero = stage.replication, stage.replication.layout.zero
    passes = sum(each.kind == "backward" for each in stage.order) // len(stage.chunks) if zero >= 2 else 1
    for layers in stage.chunks:
        for launch in replication.gradients("g", layers):
            yield launch, passes
        if zero:
            for launch in replication.parameters("p", layers, stream="data"):
                yield launch, 2 * passes if zero == 3 else 1


def _between_stages(job: TrainingJob, nodes: NodeMap) -> float:
    layout, chunks = job.layout, job.chunks
    pairs: dict[tuple[int, int], int] = {}
    sent = 0.0
    for place in range(len(chunks) - 1):
        stage, other = place % layout.pipeline, (place + 1) % layout.pipeline
        if (stage, other) not in pairs:
            pairs[stage, other] = sum(
                nodes.node_of[source] != nodes.node_of[target]
                for lane in range(layout.lanes_per_stage)
                for source, target in layout.exchange(stage, other, lane)
            )
        both_ways = chunks[place][-1].output_bytes + chunks[place + 1][0].output_bytes
        sent += pairs[stage, other] * job.micro_batches * both_ways
    return sent
