"""The one chain of activities behind all steps: steps that run ahead of each other share it."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.ranking.training.causes import Moment, cause_of, shares_of
from clustersim.workloads.span import Span, critical_shares

__all__ = ["CriticalPath"]

_REMEMBERED = 4096
"""Latest activities that a later step may still lead back to: many times those of the steps under way."""


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

    def attribution(self, *, since_s: float | None) -> Mapping[str, float]:
        """Return each resource's share of the path from a time on; the shares add up to 1."""
        if not self._pieces or since_s is None:
            return {}
        seconds: dict[str, float] = {}
        for shares in critical_shares(self.last, since_s=since_s):
            for resource, each in shares.items():
                seconds[resource] = seconds.get(resource, 0.0) + each
        total = sum(seconds.values())
        return {name: each / total for name, each in sorted(seconds.items())} if total else {}

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
