"""Bytes that an iteration sends between nodes."""

from __future__ import annotations

from clustersim.workloads.training.crossings import Crossings, NodeMap
from clustersim.workloads.training.iteration_messages import group_messages, stage_sends, tied_sum
from clustersim.workloads.training.job import TrainingJob

__all__ = ["network_bytes"]


def network_bytes(job: TrainingJob, nodes: NodeMap, crossings: Crossings) -> float:
    """Return the bytes that leave nodes in an iteration, over the GPUs of the job.

    *Equation.* Of each collective what a ring sends that goes through each node once
    (`clustersim.workloads.training.crossings`); of sends between stages, those whose ends are in two nodes.

    **Valid when** collectives are rings: trees over many nodes send as much, switches that add up half.
    **Checked by:** tests/study/test_plan_network_bytes.py.
    """
    sent = sum(
        times * crossings.sent_bytes(said.dimension, stage.stage, said.collective, said.size_bytes)
        for stage in job.stages
        for said, times in group_messages(stage, job.micro_batches).items()
    )
    sent += _between_stages(job, nodes)
    tied = tied_sum(job)
    sent += crossings.sent_bytes(tied.dimension, 0, tied.collective, tied.size_bytes) if tied else 0.0
    return sent / job.layout.ranks


def _between_stages(job: TrainingJob, nodes: NodeMap) -> float:
    layout = job.layout
    pairs: dict[tuple[int, int], int] = {}
    sent = 0.0
    for send in stage_sends(job):
        ends = send.stage, send.other
        if ends not in pairs:
            pairs[ends] = sum(
                nodes.node_of[source] != nodes.node_of[target]
                for lane in range(layout.lanes_per_stage)
                for source, target in layout.exchange(*ends, lane)
            )
        sent += pairs[ends] * send.times * send.size_bytes
    return sent
