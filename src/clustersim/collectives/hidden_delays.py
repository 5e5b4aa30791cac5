"""By how much a macro-flow may be too slow: delays that would hide behind each other step by step.

Step by step, a delay on one connection goes round with the data, and one on another connection in the
meantime hides behind it. The macro-flow goes everywhere at the pace of its slowest link and adds both up.

*Equation.* Let the macro-flow take T alone and T + D now, and let p be the part of the time that links held
it back that each held for less than the data of one round take, the longest such share excepted where no
link held it for longer. Then step by step it takes T + (1 - p)·D, if all that can hide does;

    spread = p·D / (T + (1 - p)·D).

**Valid when** competitors were small for some time: what held a link for longer than a round does not hide.
It says what may be and is no estimate: under a heavy load most of it does not hide.
**Checked by:** tests/collectives/test_hidden_delays.py and test_exactness.py; docs/exactness.md has it
beside the errors.
"""

from __future__ import annotations

from collections.abc import Collection

from clustersim.collectives.phase_cost import ring_cycles
from clustersim.collectives.plan import Phase

__all__ = ["hideable_s", "in_flight_part", "spread"]

_ROUNDING = 1e-6
"""Delays that are a smaller part of the time alone are none."""


def in_flight_part(phase: Phase) -> float:
    """Return the part of a connection's messages that is under way at once, on all connections of a round.

    A ring of N connections has N messages in flight, a pipeline as many as it is deep; where messages
    wait for none, or for several, all that the phase moves.
    """
    most = max(phase.messages)
    if phase.lag == 0:
        return min(1.0, phase.depth / most)
    rings = ring_cycles(phase.feeds)
    return min(1.0, max(map(len, rings)) / most) if rings else 1.0


def hideable_s(held_s: Collection[float], delay_s: float, alone_s: float, round_s: float) -> float:
    """Return the seconds of a delay that may hide behind others step by step.

    Parameters
    ----------
    held_s
        Seconds that each link held the flow back.
    delay_s, alone_s
        What it took more than alone, and alone.
    round_s
        How long the data of one round take alone.
    """
    if len(held_s) < 2 or delay_s <= _ROUNDING * alone_s:
        return 0.0
    short_s, longest_s = sum(seconds for seconds in held_s if seconds < round_s), max(held_s)
    if longest_s < round_s:
        short_s -= longest_s
    return delay_s * short_s / sum(held_s)


def spread(hiding_s: float, duration_s: float) -> float:
    """Return by how much of its time step by step a collective may be too slow."""
    return hiding_s / (duration_s - hiding_s)
