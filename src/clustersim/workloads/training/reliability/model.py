"""All that the simulation of days needs to know of a job, in seconds and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from clustersim.workloads.training.reliability.closed_forms import daly_interval_s

__all__ = ["ReliabilityModel"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReliabilityModel:
    """A training job, its nodes, how they fail, and how the job recovers.

    Parameters
    ----------
    iteration_s
        Time of one iteration with all replicas.
    blocks
        Nodes of each block: nodes that drop out together when one of them is missing, because the
        same data-parallel replicas are on them.
    spares
        Nodes that stand by.
    stall_s
        How long training stands still for a checkpoint.
    write_s
        How long the checkpoint is written on beside training after that, until it can be used; 0 for a
        synchronous one.
    load_s
        Reading a checkpoint when the job starts again.
    detection_s, restart_s
        From the failure to the diagnosis, and from there to the start of reading.
    node_mtbf_s, weibull_shape
        Mean time between failures of one node, and the shape of its distribution.
    software_mtbf_s
        Mean time, per node, between failures that leave all nodes whole.
    repair_s
        Mean time until a node is back.
    interval_steps
        Iterations between checkpoints; 0 takes Daly's optimum.
    without_spare
        Whether the job waits for a node or goes on with fewer replicas.
    """

    iteration_s: float
    blocks: Sequence[int]
    spares: int = 0
    stall_s: float = 0.0
    write_s: float = 0.0
    load_s: float = 0.0
    detection_s: float = 0.0
    restart_s: float = 0.0
    node_mtbf_s: float = math.inf
    weibull_shape: float = 1.0
    software_mtbf_s: float = math.inf
    repair_s: float = 0.0
    interval_steps: int = 0
    without_spare: Literal["wait", "shrink"] = "wait"

    @property
    def nodes(self) -> int:
        """Nodes of the whole job."""
        return sum(self.blocks)

    @cached_property
    def block_of(self) -> NDArray[np.int64]:
        """Block of each node."""
        return np.repeat(np.arange(len(self.blocks)), self.blocks)

    @property
    def mtbf_s(self) -> float:
        """Mean time between failures of the job, of either kind."""
        rate = self.nodes / self.node_mtbf_s + self.nodes / self.software_mtbf_s
        return 1.0 / rate if rate else math.inf

    @property
    def recovery_s(self) -> float:
        """From a failure until training goes on, where nodes are at hand and nothing else fails."""
        return self.detection_s + self.restart_s + self.load_s

    @property
    def steps(self) -> int:
        """Iterations between checkpoints."""
        if self.interval_steps:
            return self.interval_steps
        return self.steps_near(daly_interval_s(self.stall_s, self.mtbf_s))

    @property
    def interval_s(self) -> float:
        """Training time between checkpoints."""
        return self.steps * self.iteration_s

    def steps_near(self, interval_s: float) -> int:
        """Return the whole number of iterations nearest to a time, one at least."""
        steps = interval_s / self.iteration_s
        return max(1, round(steps)) if steps < _MOST_STEPS else _MOST_STEPS

    def every(self, steps: int) -> Self:
        """Return the same job with another number of iterations between checkpoints."""
        return replace(self, interval_steps=steps)


_MOST_STEPS = 10**12
"""Stands for no checkpoint at all: where nothing fails, no interval is long enough."""
