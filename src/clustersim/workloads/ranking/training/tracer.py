"""Writes what ranks did into the trace: some ranks' kernels, of all others what held everybody up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.engine.trace import NO_CAUSE, QUEUEING
from clustersim.workloads.ranking.training.causes import Moment, cause_of, shares_of
from clustersim.workloads.ranking.training.entry import Entry
from clustersim.workloads.ranking.training.program import COMPUTE_STREAM, HostMove, Kernels

if TYPE_CHECKING:
    from clustersim.engine.world import World

__all__ = ["Tracer", "watched_ranks"]

_WATCHED = 8
"""Ranks that are written down in full, at the most: as many as a picture of their streams shows."""


def watched_ranks(busy_s: np.ndarray) -> tuple[int, ...]:
    """Return the ranks that stand for all: every one where there are few.

    Else from the one with least to do to the one with most, evenly.
    """
    ranks = len(busy_s)
    if ranks <= _WATCHED:
        return tuple(range(ranks))
    order = np.lexsort((-np.arange(ranks), busy_s))  # of equals the first is the last, as in argmax
    places = np.linspace(0, ranks - 1, _WATCHED).round().astype(int)
    return tuple(sorted(order[places].tolist()))


class Tracer:
    """Activities of a job, each with its cause; nothing where no trace is kept.

    Parameters
    ----------
    name
        Of the job.
    watched
        Ranks whose kernels, and waits for others, are written down.
    busiest
        The rank whose launches and copies are written down, too.
    """

    def __init__(self, world: World, name: str, *, ranks: int, watched: Sequence[int], busiest: int) -> None:
        self._trace = world.trace
        self._name = name
        self._digits = len(str(ranks - 1))
        self._watched = tuple(watched)
        self._busiest = busiest
        self._unwritten: list[Entry] = []

    def row(self, moment: Moment | None) -> int:
        """Return the row of something that has happened; write down it and its causes where they are not."""
        if not self._trace.keep:
            return NO_CAUSE
        missing: list[Moment] = []
        while moment is not None and self._known(moment) is None:
            missing.append(moment)
            moment = cause_of(moment)
        cause = NO_CAUSE if moment is None else self._known(moment)
        for each in reversed(missing):
            cause = self._record(each, NO_CAUSE if cause is None else cause)
        return NO_CAUSE if cause is None else cause

    def write(self, entries: Sequence[Entry], *, now_s: float) -> None:
        """Write down what watched ranks did of these entries and of earlier ones, as far as it has ended."""
        if not self._trace.keep:
            return
        later = []
        for entry in (*self._unwritten, *entries):
            if entry.end_s is None or float(entry.end_s.max()) > now_s:
                later.append(entry)
                continue
            for rank in self._watched:
                self._write_rank(entry, rank)
        self._unwritten = later

    def _write_rank(self, entry: Entry, rank: int) -> None:
        if entry.task.stream == COMPUTE_STREAM:
            self.row(Moment(entry, rank))
            self._write_wait(entry, rank)
        if rank == self._busiest:
            self.row(Moment(entry, rank))
            self.row(Moment(entry, rank, True))

    def _write_wait(self, entry: Entry, rank: int) -> None:
        """Write down how long a rank waited until the last one had come to what it needs."""
        before = entry.stream_before
        if before is None or before.end_s is None:
            return
        for other in entry.after:
            if not other.together or other.start_s is None or other.end_s is None:
                continue
            assert other.came_s is not None
            start_s = max(float(before.end_s[rank]), float(other.came_s[rank]))
            end_s = float(other.start_s[rank])
            if end_s > start_s and rank != other.last_rank:
                shares = {QUEUEING: end_s - start_s}
                lane, label = self._lane(rank, COMPUTE_STREAM), f"wait for rank {other.last_rank}"
                self._trace.record("queue", lane, label, start_s, end_s, shares=shares)
                return

    def _known(self, moment: Moment) -> int | None:
        entry = moment.entry
        if entry.together and not moment.by_host:
            assert entry.record is not None
            return entry.record.row
        return entry.rows.get((moment.rank, moment.by_host))

    def _record(self, moment: Moment, cause: int) -> int:
        entry, rank, by_host = moment
        task = entry.task
        alone = isinstance(task.work, Kernels) and task.part in ("input", "host")
        kind = "host" if by_host or alone else "transfer" if isinstance(task.work, HostMove) else "compute"
        stream = "host" if by_host else task.stream
        label = f"launch {task.key}" if by_host and task.part != "host" else task.key
        lane = self._lane(rank, stream)
        shares = shares_of(moment)
        row = self._trace.record(kind, lane, label, moment.start_s, moment.end_s, cause=cause, shares=shares)
        entry.rows[rank, by_host] = row
        return row

    def _lane(self, rank: int, stream: str) -> str:
        return f"{self._name}/rank{rank:0{self._digits}d}/{stream}"
