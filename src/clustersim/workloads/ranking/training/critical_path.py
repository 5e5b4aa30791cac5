"""The one chain of activities behind all steps: steps that run ahead of each other share it."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.ranking.training.causes import Moment, cause_of, shares_of
from clustersim.workloads.span import Span, critical_shares

__all__ = ["CriticalPath", "shares_between"]

_ROUNDING = 1e-12
"""Shares of the whole that are no more than this are what rounding leaves of differences of long times."""

_REMEMBERED = 4096
"""Latest activities that a later step may still lead back to: many times those of the steps under way."""


def shares_between(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    """Return each resource's share of the time between two ends, given the paths to them from the beginning.

    *Equation.* With s(r) and e(r) seconds of resource r on the path to the first and to the second end, the
    time between them grows by e(r) - s(r) per unit of 1/speed: its share is that over Σ (e - s). What the
    device is behind the host is part of both, and cancels.

    **Valid when** both ends lie in a like state of the pipeline; else what a resource has less of in the
    second path counts as nothing.
    """
    grown = {name: max(0.0, seconds - before.get(name, 0.0)) for name, seconds in after.items()}
    total = sum(grown.values())
    return {name: each / total for name, each in sorted(grown.items()) if each > _ROUNDING * total}


class CriticalPath:
    """Follows what each step waited for back to what is on the path of the steps before it.

    The device may be behind the host by a part of a step, all the time. A path that began anew at the end
    of each step would count that part each time; the path of the last step alone, back through all others,
    counts it once, and its shares are the elasticities of the whole run.

    **Checked by:** tests/study/test_radar_reruns.py.
    """

    def __init__(self) -> None:
        self._pieces: list[Span] = []
        self._moments: list[Moment | None] = []
        self._places: dict[Moment, int] = {}

    @property
    def last(self) -> Span:
        """The last activity, with all that led to it."""
        return self._pieces[-1]

    def reach(self, last: Moment) -> None:
        """Let the path lead to the end of a step."""
        new: list[Moment] = []
        moment: Moment | None = last
        while moment is not None and moment not in self._places:
            new.append(moment)
            moment = cause_of(moment)
        self._cut(0 if moment is None else self._places[moment] + 1)
        for each in reversed(new):
            self._add(each)
        self._forget()

    def seconds(self, *, since_s: float) -> dict[str, float]:
        """Return the seconds of each resource on the path from a time on."""
        seconds: dict[str, float] = {}
        for shares in critical_shares(self.last, since_s=since_s) if self._pieces else ():
            for resource, each in shares.items():
                seconds[resource] = seconds.get(resource, 0.0) + each
        return seconds

    def _add(self, moment: Moment) -> None:
        before = self._pieces[-1] if self._pieces else None
        self._places[moment] = len(self._pieces)
        self._pieces.append(Span(before, moment.start_s, moment.end_s, shares_of(moment)))
        self._moments.append(moment)

    def _cut(self, length: int) -> None:
        for moment in self._moments[length:]:
            if moment is not None:
                del self._places[moment]
        del self._pieces[length:], self._moments[length:]

    def _forget(self) -> None:
        """Let go of activities that are too old to be led back to; their times stay."""
        for place in range(len(self._moments) - _REMEMBERED - 1, -1, -1):
            moment = self._moments[place]
            if moment is None:
                break
            del self._places[moment]
            self._moments[place] = None
