"""How slow each rank of a job is, by what the scenario says of GPUs and nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from clustersim.errors import InputError, Problem
from clustersim.spec.stragglers import StragglerSpec
from clustersim.topology import Topology
from clustersim.workloads.training.layout import Layout

__all__ = ["rank_slowdowns"]


def rank_slowdowns(
    stragglers: Sequence[StragglerSpec], layout: Layout, *, topology: Topology, gpus: Sequence[str]
) -> np.ndarray:
    """Return how many times longer than usual the kernels of each rank take.

    Slowdowns of a GPU and its node multiply.

    Raises
    ------
    InputError
        For a GPU or node that the job does not have.
    """
    slowdown = np.ones(layout.ranks)
    for number, straggler in enumerate(stragglers):
        slow = _slow_gpus(number, straggler, topology, gpus)
        slowdown[[rank for rank in range(layout.ranks) if layout.gpu(rank) in slow]] *= straggler.slowdown
    return slowdown


def _slow_gpus(
    number: int, straggler: StragglerSpec, topology: Topology, gpus: Sequence[str]
) -> Collection[str]:
    if straggler.gpu is not None:
        _check(number, "gpu", straggler.gpu, len(gpus))
        return {gpus[straggler.gpu]}
    assert straggler.node is not None
    nodes = list(dict.fromkeys(map(topology.node_of, gpus)))
    _check(number, "node", straggler.node, len(nodes))
    return {gpu for gpu in gpus if topology.node_of(gpu) == nodes[straggler.node]}


def _check(number: int, name: str, value: int, count: int) -> None:
    if value >= count:
        message = f"{name} {value} does not exist; the job has {name}s 0 to {count - 1}"
        raise InputError(Problem(("stragglers", number, name), message))
