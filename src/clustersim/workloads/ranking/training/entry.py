"""A task of one step on all ranks: when it was launched, came, started and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.workloads.ranking.training.program import Kernels, Task

if TYPE_CHECKING:
    from clustersim.collectives import CollectiveRecord

__all__ = ["Entry"]


class Entry:
    """One task of one batch. Arrays are by rank; None until they are known.

    Parameters
    ----------
    step
        In which it is launched.
    host_before
        What the host launched before it.
    gates
        What the host waited for before it.
    stream_before
        What is before it on its stream.
    after
        What else it waits for.
    launched_from_s, launched_s
        The host's time for it, from when to when.
    seconds
        What its kernels take, where they are kernels.

    Attributes
    ----------
    came_s, start_s, end_s
        When each rank could begin, began and ended.
    host_bound
        Where kernels ended as their launches did.
    rows
        In the trace, by rank and whether the launch is meant.
    """

    __slots__ = (
        "_each",
        "after",
        "came_s",
        "end_s",
        "gates",
        "host_before",
        "host_bound",
        "launched_from_s",
        "launched_s",
        "record",
        "rows",
        "seconds",
        "start_s",
        "step",
        "stream_before",
        "task",
        "underway",
    )

    def __init__(
        self,
        task: Task,
        step: int,
        *,
        host_before: Entry | None,
        gates: tuple[Entry, ...],
        stream_before: Entry | None,
        after: tuple[Entry, ...],
        launched_from_s: np.ndarray,
        launched_s: np.ndarray,
        seconds: np.ndarray | None,
    ) -> None:
        self.task = task
        self.step = step
        self.host_before = host_before
        self.gates = gates
        self.stream_before = stream_before
        self.after = after
        self.launched_from_s = launched_from_s
        self.launched_s = launched_s
        self.seconds = seconds
        self.came_s: np.ndarray | None = None
        self.start_s: np.ndarray | None = None
        self.end_s: np.ndarray | None = None
        self.host_bound: np.ndarray | None = None
        self.record: CollectiveRecord | None = None
        self.underway = False
        self.rows: dict[tuple[int, bool], int] = {}
        self._each: Sequence[Mapping[str, float]] = ()

    @property
    def batch(self) -> int:
        """Number of the batch that it is for."""
        return self.step + self.task.ahead

    @property
    def ready(self) -> bool:
        """Whether everything that it waits for has an end that is known."""
        before = self.stream_before
        return (before is None or before.end_s is not None) and all(
            each.end_s is not None for each in self.after
        )

    def come(self) -> np.ndarray:
        """Work out when it can begin on each rank, launches included."""
        came_s = self.first_launch_s
        for each in self.waits_for:
            came_s = np.maximum(came_s, each.end_s)  # type: ignore[arg-type]
        self.came_s = came_s
        return came_s

    @property
    def waits_for(self) -> tuple[Entry, ...]:
        """What it waits for beside its launch."""
        return self.after if self.stream_before is None else (self.stream_before, *self.after)

    @property
    def first_launch_s(self) -> np.ndarray:
        """When its first kernel has been launched."""
        work = self.task.work
        if isinstance(work, Kernels) and work.count > 1:
            first_s: np.ndarray = self.launched_from_s + (self.launched_s - self.launched_from_s) / work.count
            return first_s
        return self.launched_s

    def run_kernels(self) -> None:
        """Work out when kernels that only this rank knows of start and end.

        *Equation.* n kernels of d seconds in all, launched evenly from h0 to h1: they start at
        s = max(h0 + (h1 - h0)/n, what they wait for) and end at max(s + d, h1 + d/n).
        """
        work = self.task.work
        assert isinstance(work, Kernels)
        assert self.seconds is not None
        self.start_s = self.come()
        own_s = self.start_s + self.seconds
        if work.count > 1:
            behind_s = self.launched_s + self.seconds / work.count
            self.host_bound = behind_s > own_s
            self.end_s = np.maximum(own_s, behind_s)
        else:
            self.end_s = own_s

    def met(self, record: CollectiveRecord) -> None:
        """Take down how a collective went."""
        assert self.came_s is not None
        self.record = record
        self.start_s = np.full_like(self.came_s, record.start_s)
        self.end_s = np.full_like(self.came_s, record.end_s)

    def met_each(self, start_s: np.ndarray, end_s: np.ndarray, shares: Sequence[Mapping[str, float]]) -> None:
        """Take down how something went that each rank did by itself on the fabric."""
        self.start_s, self.end_s, self._each = start_s, end_s, shares

    @property
    def together(self) -> bool:
        """Whether all ranks ran it as one."""
        return self.record is not None

    @property
    def last_rank(self) -> int:
        """The rank that came last; of several, the first of them."""
        assert self.came_s is not None
        return int(self.came_s.argmax())

    def shares_on(self, rank: int) -> Mapping[str, float]:
        """Return the seconds by resource that it took on the fabric."""
        return self._each[rank] if self.record is None else self.record.shares

    def forget(self) -> None:
        """Let go of what came before."""
        self.host_before = self.stream_before = None
        self.gates = self.after = ()
