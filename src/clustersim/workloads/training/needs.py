"""What a token or sample takes of a training job, counted from its layout and not simulated."""

from __future__ import annotations

from clustersim.collectives.kinds import bus_bytes_factor
from clustersim.cost.optimizers import optimizer_traffic_bytes
from clustersim.workloads.needs import Needs
from clustersim.workloads.training.economics import recomputed_flops
from clustersim.workloads.training.iteration_messages import (
    GroupMessage,
    group_messages,
    stage_sends,
    tied_sum,
)
from clustersim.workloads.training.job import TrainingJob

__all__ = ["iteration_needs", "work_unit"]


def work_unit(job: TrainingJob) -> str:
    """Return what the work of a job is counted in."""
    return "sample" if job.cost.sequence is None else "token"


def iteration_needs(job: TrainingJob) -> Needs:
    """Return what one iteration does on all GPUs of the job.

    *Equation.* FLOPs of the model's products by `TrainingCost`, recomputed ones included; bytes of
    all kernels of the passes and of the update; of each collective its bus bytes from every GPU of its
    groups; of sends between stages the bytes of every pair.

    **Valid when** all replicas are alike. A teacher, traffic with hosts and what workers exchange once in a
    while (`local_steps`) are left out.
    **Checked by:** tests/workloads/test_training_needs.py, against what links carried.
    """
    sent_bytes, messages = _said(job)
    return Needs(
        unit=work_unit(job),
        units=float(job.global_batch * (job.cost.sequence or 1)),
        flops=job.global_batch * recomputed_flops(job).hardware,
        hbm_bytes=sum(_stage_bytes(job, stage) for stage in range(job.layout.pipeline)),
        network_bytes=sent_bytes,
        messages=messages,
    )


def _stage_bytes(job: TrainingJob, stage: int) -> float:
    """Bytes through the memories of all GPUs of a stage."""
    ranks = job.layout.ranks / job.layout.pipeline
    passes = sum(layer.hbm_bytes for chunk in job.stages[stage].chunks for layer in chunk)
    update = 0.0
    if not job.spec.offload.optimizer:
        update = optimizer_traffic_bytes(
            job.spec.optimizer,
            job.updated_parameters(stage),
            job.spec.precision,
            gradient_bytes=job.cost.gradient_bytes_per_parameter,
        )
    return ranks * (job.micro_batches * passes + update)


def _said(job: TrainingJob) -> tuple[float, float]:
    """Bytes that GPUs send, and messages that they take part in."""
    layout = job.layout
    sent_bytes = messages = 0.0

    def add(said: GroupMessage, stage: int, times: float) -> None:
        nonlocal sent_bytes, messages
        for group in layout.groups(said.dimension, stage):
            if len(group) > 1 and said.size_bytes > 0.0:
                point_to_point = said.collective == "send_recv"
                factor = bus_bytes_factor(said.collective, ranks=len(group))
                sent_bytes += times * (1 if point_to_point else len(group)) * factor * said.size_bytes
                messages += times * len(group)

    for stage in job.stages:
        for said, times in group_messages(stage, job.micro_batches).items():
            add(said, stage.stage, times)
    tied = tied_sum(job)
    if tied is not None:
        add(tied, 0, 1)
    pairs = layout.ranks / layout.pipeline
    for send in stage_sends(job):
        sent_bytes += pairs * send.times * send.size_bytes
        messages += 2 * 2 * pairs * send.times  # forwards and back, at both ends
    return sent_bytes, messages
