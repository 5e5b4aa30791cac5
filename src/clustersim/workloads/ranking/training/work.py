"""What one step of a job has to do on each rank and between ranks: the input of its program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clustersim.workloads.ranking.training.program import Kernels

__all__ = ["DENSE_STAGES", "DenseStage", "StepWork"]

DENSE_STAGES = ("top", "interaction", "bottom")
"""Parts of the dense part, in the order in which the backward pass comes to them."""

DenseStage = str


@dataclass(frozen=True, kw_only=True, eq=False)
class StepWork:
    """Kernels by rank, and bytes between ranks, of one step.

    Parameters
    ----------
    forward, backward
        Kernels of each of `DENSE_STAGES`.
    lookup, update
        Look-ups and pooling of a rank's tables for all samples that it serves; gradients of their rows and
        the update of these.
    optimizer
        Update of the dense part, and of tables whose gradients are summed as the dense part's are.
    index_bytes
        From rank i to rank j; None where no rank needs another's tables.
    forward_bytes, backward_bytes
        The same of pooled embeddings and their gradients: exchanges one after the other.
    lookup_host_bytes, update_host_bytes
        Of rows that come to each GPU from the memory of its host, and that go back; None without any.
    gradient_bytes
        What is summed over ranks, by stage; those of tables, if any, as `tables`.
    local_tables
        Tables or parts of tables on each rank.
    copy_bytes
        Of a batch on its way to each GPU; 0 where it is there.
    read_s, prepare_s
        What storage and processors take for the batch of each rank; None where nothing limits them.
    """

    forward: Mapping[DenseStage, Kernels]
    backward: Mapping[DenseStage, Kernels]
    lookup: Kernels
    update: Kernels
    optimizer: Kernels
    index_bytes: np.ndarray | None = None
    forward_bytes: tuple[np.ndarray, ...] = ()
    backward_bytes: tuple[np.ndarray, ...] = ()
    lookup_host_bytes: np.ndarray | None = None
    update_host_bytes: np.ndarray | None = None
    gradient_bytes: Mapping[str, float] = field(default_factory=dict)
    local_tables: np.ndarray | float = 0.0
    copy_bytes: float = 0.0
    read_s: np.ndarray | None = None
    prepare_s: np.ndarray | None = None

    @property
    def ranks(self) -> int:
        """GPUs of the job."""
        return len(self.lookup.seconds)

    @property
    def exchanges(self) -> bool:
        """Whether ranks look things up for each other."""
        return self.index_bytes is not None and self.ranks > 1
