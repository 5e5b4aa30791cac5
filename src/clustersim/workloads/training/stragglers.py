"""How slow each rank of a job is, by what the scenario says of GPUs and nodes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from clustersim.errors import InputError, Problem
from clustersim.spec.stragglers import StragglerSpec
from clustersim.topology import Topology
from clustersim.workloads.training.layout import Layout

__all__ = ["gpu_slowdowns", "rank_slowdowns", "spread_slowdowns"]


def rank_slowdowns(
    stragglers: Sequence[StragglerSpec], layout: Layout, *, topology: Topology, gpus: Sequence[str]
) -> np.ndarray:
    """Return how many times longer than usual the kernels of each rank take; see `gpu_slowdowns`."""
    by_gpu = gpu_slowdowns(stragglers, topology=topology, gpus=gpus)
    return np.array([by_gpu.get(layout.gpu(rank), 1.0) for rank in range(layout.ranks)])


def gpu_slowdowns(
    stragglers: Sequence[StragglerSpec], *, topology: Topology, gpus: Sequence[str]
) -> dict[str, float]:
    """Return how many times longer than usual the kernels of each GPU of a job take.

    Slowdowns of a GPU and its node multiply.

    Raises
    ------
    InputError
        For a GPU or node that the job does not have.
    """
    slowdown = dict.fromkeys(gpus, 1.0)
    for number, straggler in enumerate(stragglers):
        for gpu in _slow_gpus(number, straggler, topology, gpus):
            slowdown[gpu] *= straggler.slowdown
    return slowdown


def spread_slowdowns(ranks: int, spread: float, random: np.random.Generator) -> np.ndarray:
    """Return how many times longer each rank's kernels take where GPUs of a kind are not equally fast.

    *Equation.* exp(σ·z − σ²/2) with σ² = ln(1 + c²) and z standard normal: mean 1, coefficient of variation
    c. A job waits for its slowest GPU: about 1 + c·√(2·ln n) of n.

    **Source:** Sinha et al., "Not all GPUs are created equal", SC22: GPUs of one cluster differ by 8 % on
    average and 22 % at most in the time of one program (from memory).
    **Checked by:** tests/workloads/test_training_pace.py.
    """
    if not spread:
        return np.ones(ranks)
    sigma = math.sqrt(math.log1p(spread**2))
    return np.exp(sigma * random.standard_normal(ranks) - sigma**2 / 2)


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
