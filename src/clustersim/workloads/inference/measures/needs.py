"""What a computed token takes of a service, and how full the memory of its GPUs was."""

from __future__ import annotations

from clustersim.workloads.inference.measures.served import ReplicaRecord, Served
from clustersim.workloads.inference.measures.step_work import row_work
from clustersim.workloads.needs import Needs

__all__ = ["UNIT", "service_needs"]

UNIT = "token"
"""What a service does: tokens that are computed, those of prompts and those that are generated."""


def service_needs(served: Served) -> dict[str, float]:
    """Return the `work.*` metrics over all steps, the warm-up included, and `memory_bytes` of a GPU.

    *Equation.* Memory: weights and activations of the fullest GPU, and of its KV cache the highest part that
    was in use. KV that went from a replica to another counts as a message with its bytes.

    **Valid when** the work of a step can be counted. Rows of a prompt that is not done yet are taken
    to be sampled, as in `row_work`.
    **Checked by:** tests/workloads/test_inference_needs.py.
    """
    replicas = [replica for replica in served.replicas if len(replica.log)]
    if not replicas or any(replica.cost is None for replica in replicas):
        return {}
    works = [row_work(replica.log, replica.cost) for replica in replicas if replica.cost is not None]
    sent = [_sent(replica) for replica in replicas]
    moved = [request.handover.size_bytes for request in served.requests if request.handover is not None]
    needs = Needs(
        unit=UNIT,
        units=sum(float(replica.log.column("tokens").sum()) for replica in replicas),
        flops=sum(float(flops.sum()) for flops, _ in works),
        hbm_bytes=sum(float(bytes_.sum()) for _, bytes_ in works),
        network_bytes=sum(sent_bytes for sent_bytes, _ in sent) + sum(moved),
        messages=sum(messages for _, messages in sent) + len(moved),
    )
    end_s = max(replica.log.end_of(len(replica.log) - 1) for replica in replicas)
    return needs.metrics(end_s - served.start_s) | {"memory_bytes": max(map(_memory_bytes, replicas))}


def _memory_bytes(replica: ReplicaRecord) -> float:
    memory = replica.memory
    if memory is None:
        return 0.0
    used = float(replica.log.column("kv_end_blocks").max()) / replica.kv_blocks
    return memory.weight_bytes + memory.activation_bytes + used * memory.kv_bytes


def _sent(replica: ReplicaRecord) -> tuple[float, float]:
    """Return bytes and messages of all steps of a replica."""
    if replica.network is None:
        return 0.0, 0.0
    log = replica.log
    steps = log.column("steps").astype(float)
    sampled = float((steps * log.column("batch")).sum())
    return replica.network.sent(float(log.column("tokens").sum()), sampled, float(steps.sum()))
