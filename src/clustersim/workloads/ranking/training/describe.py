"""A job's step as work: its cost by rank, what travels between ranks, and its samples on their way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from clustersim.cost.operators import element_bytes
from clustersim.spec.ranking.training import RankingInputSpec
from clustersim.topology import Topology
from clustersim.workloads.ranking.training.costs import StepCost
from clustersim.workloads.ranking.training.work import DENSE_STAGES, StepWork

__all__ = ["sample_bytes", "step_work"]

_NUMBER_BYTES = 4
"""Of a dense feature, and of a label."""


def step_work(cost: StepCost, *, topology: Topology, gpus: Sequence[str]) -> StepWork:
    """Return what one step has to do."""
    plan, batch, kernels = cost.plan, cost.batch, cost.kernels
    indices = plan.index_bytes(batch)
    exchanges = plan.ranks > 1 and bool(indices.any())
    forward = _with_bottom(
        cost, plan.forward_exchanges(batch, cost.forward_precision), cost.forward_precision
    )
    back = _with_bottom(cost, plan.forward_exchanges(batch, cost.backward_precision), cost.backward_precision)
    size_bytes = batch * sample_bytes(cost)
    reading = cost.spec.input
    sharers = _sharers(topology, gpus)
    rows = plan.host_traffic(batch, cost.forward_precision)
    return StepWork(
        forward={stage: kernels[f"forward {stage}"] for stage in DENSE_STAGES},
        backward={stage: kernels[f"backward {stage}"] for stage in DENSE_STAGES},
        lookup=kernels["lookup"],
        update=kernels["update"],
        optimizer=kernels["optimizer"],
        index_bytes=indices if exchanges else None,
        forward_bytes=forward if exchanges else (),
        backward_bytes=tuple(matrix.T.copy() for matrix in reversed(back)) if exchanges else (),
        lookup_host_bytes=rows.to_device if rows.to_device.any() else None,
        update_host_bytes=rows.to_host if rows.to_host.any() else None,
        gradient_bytes=cost.gradient_bytes,
        local_tables=cost.local_tables,
        copy_bytes=size_bytes if reading.copy_to_gpu else 0.0,
        read_s=_read_s(reading, size_bytes, sharers, speed=topology.speeds.storage),
        prepare_s=_prepare_s(reading, batch, sharers, speed=topology.speeds.host),
    )


def sample_bytes(cost: StepCost) -> float:
    """Return the bytes of a sample as it is stored and copied."""
    if cost.spec.input.sample is not None:
        return cost.spec.input.sample
    numbers = cost.model.dense_features + 1
    return _NUMBER_BYTES * numbers + cost.index_bytes * cost.model.lookups_per_sample


def _with_bottom(cost: StepCost, matrices: Sequence[np.ndarray], precision: str) -> tuple[np.ndarray, ...]:
    """Let what the bottom MLP of rank 0 has worked out for the others travel with the last exchange."""
    if not cost.bottom_first or not matrices:
        return tuple(matrices)
    last = matrices[-1].copy()
    last[0, 1:] += cost.batch * cost.model.dense_width * element_bytes(precision)
    return (*matrices[:-1], last)


def _sharers(topology: Topology, gpus: Sequence[str]) -> np.ndarray:
    """Return how many ranks are on the node of each."""
    count = Counter(map(topology.node_of, gpus))
    return np.array([float(count[topology.node_of(gpu)]) for gpu in gpus])


def _read_s(
    reading: RankingInputSpec, size_bytes: float, sharers: np.ndarray, *, speed: float
) -> np.ndarray | None:
    """Return what storage takes for the batch of each rank: its part of the node's rate, or of all."""
    limits = []
    if reading.node_bandwidth is not None:
        limits.append(reading.node_bandwidth / sharers)
    if reading.storage_bandwidth is not None:
        limits.append(np.full(len(sharers), reading.storage_bandwidth / len(sharers)))
    return size_bytes / (speed * np.minimum.reduce(limits)) if limits else None


def _prepare_s(
    reading: RankingInputSpec, batch: float, sharers: np.ndarray, *, speed: float
) -> np.ndarray | None:
    """Return what the processors of a node take for the batch of each of its ranks."""
    if reading.preprocess_rate is None:
        return None
    return batch * sharers / (speed * reading.preprocess_rate)
