"""How long a phase takes alone, as lines in the size of the collective.

*Equation.* Let a phase put V_l·S bytes on link l, and m messages on each connection. Alone, connection
i moves a message in τ_i = S·max_l(V_l/C_l)/(e·m), where e is the protocol's efficiency and l one of
its links; α_i is its latency. Then a phase takes

- rings (lag 1, each fed by the one before): a max-plus system, whose k steps take the longest walk
  through it, ``T = k · max( max_i τ_i, mean_i(τ_i + α_i) )`` up to the last round, which
  `clustersim.collectives.walks` has, too;
- pipelines (lag 0): ``T = max over paths Σ α_i + m·max_i τ_i``; where the plan counts the fill, a
  chunk's way takes max over paths Σ τ_i in place of max_i τ_i (at most too long: the two longest
  paths may differ);
- one message per connection: ``T = max_i (τ_i + α_i)``;
- other phases of lag 1: ``T ≤ m · max_i (τ_i + α_i)``, which is taken: exact where all connections
  are alike, else too long.

**Source:** max-plus algebra (Baccelli et al., Synchronization and Linearity, 1992).
**Checked by:** tests/collectives, against the stepwise expansion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustersim.collectives.plan import Phase
from clustersim.collectives.walks import upper_envelope, walks

__all__ = ["PhaseCost", "Timing", "phase_costs", "ring_cycles"]

_CostOf = Callable[[np.ndarray, np.ndarray], "PhaseCost"]
"""From the seconds per byte and the latencies of the connections to the cost."""


class Timing(NamedTuple):
    """How a phase goes alone.

    Parameters
    ----------
    delay_s
        Before its bytes flow.
    flow_s
        While they flow.
    bandwidth_part
        Part of `flow_s` that scales with 1/bandwidth.
    """

    delay_s: float
    flow_s: float
    bandwidth_part: float


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What a phase takes alone with one protocol.

    Parameters
    ----------
    walks
        Walks through the phase, as (seconds per byte of the collective's size, latency in seconds):
        S bytes take the largest `per_byte·S + latency`.
    flow_s_per_byte
        Pace at which its bytes flow after a delay; 0 where they flow all the time.
    """

    walks: tuple[tuple[float, float], ...]
    flow_s_per_byte: float = 0.0

    def longest(self, size_bytes: float) -> tuple[float, float]:
        """Return time and latency part of the longest walk, in seconds."""
        return max((per_byte * size_bytes + latency_s, latency_s) for per_byte, latency_s in self.walks)

    def timing(self, size_bytes: float) -> Timing:
        """Return how a phase of a collective of `size_bytes` goes alone."""
        longest_s, latency_s = self.longest(size_bytes)
        if not self.flow_s_per_byte:
            return Timing(0.0, longest_s, 1.0 - latency_s / longest_s)
        flow_s = size_bytes * self.flow_s_per_byte
        return Timing(max(0.0, longest_s - flow_s), flow_s, 1.0)


def phase_costs(phase: Phase, paces: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> dict[str, PhaseCost]:
    """Return the cost of a phase by protocol.

    Parameters
    ----------
    paces
        For each protocol its name, and of each connection the seconds per byte of the collective's size
        and the latency of a message in seconds.
    """
    if phase.lag == 0:
        cost_of = _pipeline_cost(phase)
    elif (rings := ring_cycles(phase.feeds)) is not None:
        cost_of = _ring_cost(phase, rings)
    else:
        cost_of = _step_cost(phase)
    return {name: cost_of(per_byte, latency_s) for name, per_byte, latency_s in paces}


def _pipeline_cost(phase: Phase) -> _CostOf:
    known: dict[bytes, float] = {}

    def cost_of(per_byte: np.ndarray, latency_s: np.ndarray) -> PhaseCost:
        key = latency_s.tobytes()
        if key not in known:
            known[key] = _longest_path(phase.feeds, latency_s.tolist())
        slowest = float(per_byte.max())
        fill = 0.0
        if phase.counts_fill:
            fill = (_longest_path(phase.feeds, per_byte.tolist()) - slowest) / phase.messages[0]
        return PhaseCost(((slowest + fill, known[key]),), slowest)

    return cost_of


def _longest_path(feeds: Sequence[tuple[int, ...]], lengths: Sequence[float]) -> float:
    reached: list[float] = []
    for fed, length in zip(feeds, lengths, strict=True):
        reached.append(length + max([reached[index] for index in fed]) if fed else length)
    return max(reached)


def _ring_cost(phase: Phase, rings: Sequence[np.ndarray]) -> _CostOf:
    steps = np.asarray(phase.messages)

    def cost_of(per_byte: np.ndarray, latency_s: np.ndarray) -> PhaseCost:
        table = np.column_stack([per_byte / steps, latency_s])
        distinct = {(int(steps[ring[0]]), (around := table[ring]).tobytes()): around for ring in rings}
        lines = [line for (count, _), around in distinct.items() for line in walks(around, count)]
        return PhaseCost(tuple(dict.fromkeys(lines)))

    return cost_of


def _step_cost(phase: Phase) -> _CostOf:
    messages = np.asarray(phase.messages)
    single = int(messages.max()) == 1

    def cost_of(per_byte: np.ndarray, latency_s: np.ndarray) -> PhaseCost:
        lines = np.column_stack([per_byte, messages * latency_s])
        return PhaseCost(upper_envelope(lines), float(per_byte.max()) if single else 0.0)

    return cost_of


def ring_cycles(feeds: Sequence[tuple[int, ...]]) -> list[np.ndarray] | None:
    """Return the cycles of connections of which each feeds the next; None if it is not that everywhere."""
    if not all(len(fed) == 1 for fed in feeds):
        return None
    before = np.fromiter((fed[0] for fed in feeds), dtype=np.int64, count=len(feeds))
    starts = np.flatnonzero(before != np.arange(-1, len(before) - 1))
    ends = np.append(starts[1:], len(before))
    if np.array_equal(before[starts], ends - 1):
        return [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
    return _scattered_rings(before.tolist())


def _scattered_rings(before: Sequence[int]) -> list[np.ndarray] | None:
    """The same where connections of a ring do not lie one behind the other."""
    if len(set(before)) < len(before):
        return None
    left = set(range(len(before)))
    rings: list[np.ndarray] = []
    while left:
        ring = [left.pop()]
        while (last := before[ring[-1]]) in left:
            left.remove(last)
            ring.append(last)
        rings.append(np.array(ring[::-1]))
    return rings
