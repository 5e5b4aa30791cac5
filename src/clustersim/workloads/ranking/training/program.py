"""What every rank does in one training step: tasks on streams, as data.

All ranks run the same tasks in the same order; what a task takes differs from rank to rank. One
interpreter (`clustersim.workloads.ranking.training.interpreter`) runs them; tables, pictures and the
reference in the tests read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["COMPUTE_STREAM", "PARTS", "Collective", "HostMove", "Kernels", "Part", "Program", "Task"]

COMPUTE_STREAM = "compute"
"""The stream whose last task of a step ends the step."""

Part = Literal[
    "embedding",
    "dense",
    "optimizer",
    "index",
    "forward",
    "backward",
    "all_reduce",
    "host_rows",
    "input",
    "host",
]
PARTS: tuple[Part, ...] = (
    "embedding",
    "dense",
    "optimizer",
    "index",
    "forward",
    "backward",
    "all_reduce",
    "host_rows",
    "input",
    "host",
)
"""What tasks are for: kernels of tables, of the dense part and of its optimizer; exchange of indices, of
pooled embeddings and of their gradients; sums of dense gradients; rows that lie in host memory; samples on
their way; the host alone."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """What each rank does by itself.

    Parameters
    ----------
    seconds
        By rank, where launches do not hold it up.
    shares
        `seconds` by resource.
    count
        Kernels, launched one after the other; 0 for work that no host launches, as reading from storage.
    """

    seconds: np.ndarray
    shares: Mapping[str, np.ndarray]
    count: float = 1.0


@dataclass(frozen=True, eq=False)
class Collective:
    """What all ranks do together, from when the last of them has come.

    Parameters
    ----------
    kind
        `all_to_all_v` or `all_reduce`.
    size
        Bytes from rank i to rank j; of the buffer that is summed.
    """

    kind: Literal["all_to_all_v", "all_reduce"]
    size: np.ndarray | float


@dataclass(frozen=True, eq=False)
class HostMove:
    """What each rank moves between its GPU and its host, by itself.

    Parameters
    ----------
    size_bytes
        By rank.
    back
        To the host.
    """

    size_bytes: np.ndarray
    back: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """One entry of a stream.

    It starts when the host has launched it (of several kernels: the first), what is before it on its stream
    has ended, and so have the tasks that it comes after.

    Parameters
    ----------
    key
        Its name within the program.
    stream
        Tasks of a stream run one after the other, in the order of the program.
    part
        What for.
    launch_s
        What the host takes to launch it, by rank; it launches task after task in the order of the program.
    ahead
        In which step before that of its batch it is launched: 1 for the batch of the next step.
    after
        Tasks of the same batch.
    host_waits
        The host launches nothing more before it has ended.
    """

    key: str
    stream: str
    part: Part
    work: Kernels | Collective | HostMove
    launch_s: np.ndarray
    ahead: int = 0
    after: tuple[str, ...] = ()
    host_waits: bool = False


@dataclass(frozen=True, eq=False)
class Program:
    """The tasks of one step, in the order in which the host launches them.

    Parameters
    ----------
    run_ahead
        Steps that the host is ahead of the GPU, at the most.
    """

    tasks: tuple[Task, ...]
    ranks: int
    run_ahead: int = 2

    @property
    def fill(self) -> int:
        """Steps before the first in which tasks of later batches are launched: they fill the pipeline."""
        return max(task.ahead for task in self.tasks)

    def task(self, key: str) -> Task:
        """Return a task by its name."""
        return next(task for task in self.tasks if task.key == key)
