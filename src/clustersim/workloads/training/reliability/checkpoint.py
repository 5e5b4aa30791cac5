"""What a checkpoint holds, and how long it takes to copy, to write and to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.cost.optimizers import optimizer_bytes
from clustersim.errors import InputError, Problem
from clustersim.spec.reliability import CheckpointSpec
from clustersim.topology import Topology
from clustersim.workloads.training.job import TrainingJob

__all__ = ["CheckpointCost", "checkpoint_bytes", "checkpoint_cost", "copy_bandwidth_bytes_per_s"]


@dataclass(frozen=True, kw_only=True)
class CheckpointCost:
    """One checkpoint of a job.

    Parameters
    ----------
    size_bytes
        Of all of it.
    bandwidth_bytes_per_s
        At which storage takes and gives it.
    stall_s
        How long training stands still for it.
    write_s
        How long it is written on beside training.
    load_s
        Reading it when the job starts again.
    """

    size_bytes: float
    bandwidth_bytes_per_s: float
    stall_s: float
    write_s: float
    load_s: float


def checkpoint_cost(
    spec: CheckpointSpec,
    job: TrainingJob,
    *,
    topology: Topology,
    gpus: Sequence[str],
    node_bandwidth_bytes_per_s: float,
) -> CheckpointCost:
    """Return size and times of a checkpoint that all nodes write and read, an equal part each.

    *Equation.* With S bytes, n nodes of b bytes/s, storage of B bytes/s and g GPUs that copy c bytes/s each:
    write and load S / min(B, n·b); copy S / (g·c). A synchronous checkpoint stalls training for the
    write, an asynchronous one for the copy.

    Parameters
    ----------
    node_bandwidth_bytes_per_s
        What stands for `spec.node_bandwidth` where that is not given.

    **Valid when** states are saved once, whoever has copies of them, and what several replicas need is read
    by one and passed on over the network in no time; nothing else uses the storage.
    **Source:** Megatron-LM's `dist_checkpointing` (fully parallel save) and PyTorch's distributed checkpoint
    save so.
    **Checked by:** tests/workloads/test_training_reliability.py: BLOOM's published size.
    """
    nodes = len({topology.node_of(gpu) for gpu in gpus})
    size_bytes = checkpoint_bytes(job) if spec.size is None else spec.size
    together = nodes * (spec.node_bandwidth or node_bandwidth_bytes_per_s)
    bandwidth = min(together, spec.storage_bandwidth or together)
    write_s = size_bytes / bandwidth
    copied = spec.mode == "asynchronous"
    copy_s = 0.0
    if copied:
        per_gpu = spec.copy_bandwidth or copy_bandwidth_bytes_per_s(topology, gpus[0])
        copy_s = size_bytes / (len(gpus) * per_gpu)
    return CheckpointCost(
        size_bytes=size_bytes,
        bandwidth_bytes_per_s=bandwidth,
        stall_s=copy_s if copied else write_s,
        write_s=write_s if copied else 0.0,
        load_s=write_s,
    )


def checkpoint_bytes(job: TrainingJob) -> float:
    """Return the bytes of weights, master weights and optimizer states of all trained parameters.

    Frozen parameters do not change and are not saved.
    """
    per_parameter = optimizer_bytes(job.spec.optimizer, job.spec.precision)
    trained = 0.0
    for layer in (layer for chunk in job.chunks for layer in chunk):
        own = layer.parameters + layer.expert_parameters
        kept = own + layer.frozen_parameters
        trained += layer.parameters_of_model * own / kept if kept else 0.0
    return trained * (per_parameter.weights + per_parameter.master_weights + per_parameter.optimizer_states)


def copy_bandwidth_bytes_per_s(topology: Topology, gpu: str) -> float:
    """Return what a GPU copies to its host's memory while all GPUs of its node do.

    The slowest link between them, shared by the GPUs of the node that use it.

    Raises
    ------
    InputError
        Where the topology has no host beside the GPU.
    """
    node = topology.node_of(gpu)
    kinds = topology.graph.nodes(data="kind")
    hosts = [v for v, kind in kinds if kind == "host" and topology.graph.nodes[v].get("node") == node]
    if not hosts:
        message = f"the topology has no host in node '{node}'; say what a GPU copies to its host's memory"
        path = ("reliability", "checkpoint", "copy_bandwidth")
        raise InputError(Problem(path, message))
    routes = {
        each: min((topology.route(each, host) for host in hosts), key=len)
        for each in topology.gpus_by_node[node]
    }
    users = Counter(link for route in routes.values() for link in route)
    return min(float(topology.link_bandwidth_bytes_per_s[link]) / users[link] for link in routes[gpu])
