"""When ranks are done with rounds of messages that they enter one by one.

*Equation.* A rank enters round p + 1 at the latest of its own messages' leaving and of the arrivals
that come to it: ``enter(p+1, j) = max(enter(p, j), max_i leave_i, max_k arrive_k)``, where message i
from rank j leaves at enter(p, j) + τ_i and arrives α_i later.

**Valid when** messages of different rounds do not share links. **Checked by:**
tests/collectives/test_fidelity.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.collectives.plan import Phase

__all__ = ["RankEntries", "are_rounds"]


def are_rounds(phases: Sequence[Phase]) -> bool:
    """Whether a plan is made of several phases of one message per connection."""
    return len(phases) > 1 and all(phase.lag == 1 and max(phase.messages) == 1 for phase in phases)


class RankEntries:
    """The vertices and messages of rounds, by index."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        place: dict[str, int] = {}
        self._rounds = [
            tuple(
                np.array([place.setdefault(getattr(one, end), len(place)) for one in phase.connections])
                for end in ("source", "target")
            )
            for phase in phases
        ]
        self._count = len(place)

    def finish_s(self, size_bytes: float, paces: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        """Return when the last rank is done.

        Parameters
        ----------
        paces
            For each round the seconds per byte of the collective's size, and the latencies in
            seconds, of its messages.
        """
        entered = np.zeros(self._count)
        for (sources, targets), (per_byte, latency_s) in zip(self._rounds, paces, strict=True):
            leaving = entered[sources] + per_byte * size_bytes
            following = entered.copy()
            np.maximum.at(following, sources, leaving)
            np.maximum.at(following, targets, leaving + latency_s)
            entered = following
        return float(entered.max())
