"""When nodes and software of a cluster fail."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from clustersim.workloads.training.reliability.model import ReliabilityModel

__all__ = ["SOFTWARE", "Failure", "draw_failures"]

SOFTWARE = -1
"""In place of a node: the job stopped and every node is whole."""


class Failure(NamedTuple):
    """Something that stops the job.

    Parameters
    ----------
    at_s
        When.
    node
        Which place in the job lost its node; `SOFTWARE` where none did.
    repair_s
        How long its repair takes.
    """

    at_s: float
    node: int
    repair_s: float


def draw_failures(model: ReliabilityModel, *, days_s: float, seed: int) -> list[Failure]:
    """Draw all failures of a period, in their order.

    Each place of the job is a renewal process: its nodes fail one after the other, at intervals with
    Weibull distribution. The nodes at the beginning have been in use for long, so the rate is
    N / MTBF from the start, whatever the shape. Failures that leave the nodes whole are a Poisson process.

    The draws depend on nodes, failure rates and seed alone, not on what the job does: variants that differ
    in checkpoints, spares or recovery meet the same failures (common random numbers).

    *Equation.* Lifetime λ·E^(1/k) with E exponential, λ = MTBF / Γ(1 + 1/k); residual life of a node
    in use U·λ·G^(1/k) with U uniform and G gamma of shape 1 + 1/k (length-biased).

    **Source:** Cox, Renewal Theory, 1962, section 5.2 (residual life in equilibrium).
    **Checked by:** tests/workloads/test_training_reliability.py.
    """
    found = []
    if math.isfinite(model.node_mtbf_s):
        found = sorted(_node_failures(model, days_s, _stream(seed, "nodes")))
    repairs_s = _stream(seed, "repair").standard_exponential(len(found)) * model.repair_s
    failures = [
        Failure(at_s, node, float(repair_s)) for (at_s, node), repair_s in zip(found, repairs_s, strict=True)
    ]
    if math.isfinite(model.software_mtbf_s):
        times_s = _poisson(model.software_mtbf_s / model.nodes, days_s, _stream(seed, "software"))
        failures += [Failure(at_s, SOFTWARE, 0.0) for at_s in times_s]
    return sorted(failures)


def _node_failures(model: ReliabilityModel, days_s: float, random: Generator) -> Iterator[tuple[float, int]]:
    shape = model.weibull_shape
    scale_s = model.node_mtbf_s / math.gamma(1.0 + 1.0 / shape)
    biased = random.standard_gamma(1.0 + 1.0 / shape, size=model.nodes)
    times_s = random.random(model.nodes) * scale_s * biased ** (1.0 / shape)
    for node in np.flatnonzero(times_s < days_s):
        at_s = float(times_s[node])
        while at_s < days_s:
            yield at_s, int(node)
            at_s += scale_s * float(random.standard_exponential()) ** (1.0 / shape)


def _poisson(mean_s: float, days_s: float, random: Generator) -> Iterator[float]:
    at_s = float(random.exponential(mean_s))
    while at_s < days_s:
        yield at_s
        at_s += float(random.exponential(mean_s))


def _stream(seed: int, name: str) -> Generator:
    key = (zlib.crc32(b"reliability"), zlib.crc32(name.encode()))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
