"""Why a task started and ended when it did: walks back from what a rank did to what let it."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.engine.trace import HOST
from clustersim.workloads.ranking.training.entry import Entry
from clustersim.workloads.ranking.training.program import Kernels

__all__ = ["Moment", "cause_of", "shares_of"]


class Moment(NamedTuple):
    """A task of one rank, or what its host did to launch it.

    Parameters
    ----------
    rank
        Of a collective that all run together: the last to come.
    by_host
        Whether it is the launch that is meant.
    """

    entry: Entry
    rank: int
    by_host: bool = False

    @property
    def start_s(self) -> float:
        """When it began."""
        times = self.entry.launched_from_s if self.by_host else self.entry.start_s
        return float(times[self.rank])  # type: ignore[index]

    @property
    def end_s(self) -> float:
        """When it ended."""
        times = self.entry.launched_s if self.by_host else self.entry.end_s
        return float(times[self.rank])  # type: ignore[index]


def cause_of(moment: Moment) -> Moment | None:
    """Return what ended last of all that it waited for; None at the very beginning."""
    return _cause_of_launch(moment) if moment.by_host else _cause_of_task(moment)


def _cause_of_launch(moment: Moment) -> Moment | None:
    entry, rank = moment.entry, moment.rank
    before = entry.host_before
    found = None if before is None else Moment(before, rank, True)
    for gate in entry.gates:
        if found is None or gate.end_s[rank] > found.end_s:  # type: ignore[index]
            found = _at(gate, rank)
    return found


def _cause_of_task(moment: Moment) -> Moment:
    entry, rank = moment.entry, moment.rank
    launch = Moment(entry, rank, True)
    if entry.host_bound is not None and entry.host_bound[rank]:
        return launch
    if not entry.waits_for:
        return launch
    last = max(entry.waits_for, key=lambda each: each.end_s[rank])  # type: ignore[index]
    return _at(last, rank) if last.end_s[rank] >= entry.first_launch_s[rank] else launch  # type: ignore[index]


def _at(entry: Entry, rank: int) -> Moment:
    """Return an entry as one rank met it: a collective began when the last rank had come."""
    return Moment(entry, entry.last_rank if entry.together else rank)


def shares_of(moment: Moment) -> dict[str, float]:
    """Return its seconds by resource; they add up to its length.

    Kernels that wait for launches until the last of them give all but that last one to the host.
    """
    entry, rank = moment.entry, moment.rank
    length_s = moment.end_s - moment.start_s
    if moment.by_host:
        return {HOST: length_s}
    work = entry.task.work
    if not isinstance(work, Kernels):
        return dict(entry.shares_on(rank))
    usual_s = float(work.seconds[rank])
    taken_s = float(entry.seconds[rank])  # type: ignore[index]
    if entry.host_bound is not None and entry.host_bound[rank]:
        taken_s /= work.count
    part = taken_s / usual_s if usual_s else 0.0
    shares = {name: part * float(seconds[rank]) for name, seconds in work.shares.items() if seconds[rank]}
    if length_s > taken_s:
        shares[HOST] = shares.get(HOST, 0.0) + length_s - taken_s
    return shares
