"""Binomial trees: broadcast, scatter, reduce and gather in ⌈log₂ N⌉ rounds.

**Source:** Thakur, Rabenseifner and Gropp (2005), as MPICH has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Plan
from clustersim.collectives.rounds import Move, phases_of

__all__ = ["binomial_plans"]


def binomial_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a collective from or to a root over a binomial tree.

    *Equation.* Broadcast and reduce ``T = ⌈log₂ N⌉·(α + S/x)``; scatter and gather
    ``T = ⌈log₂ N⌉·α + (N-1)/N·S/x``.
    """
    ranks = len(group)
    whole, rises = kind.name in ("broadcast", "reduce"), kind.name in ("reduce", "gather")
    distances = [1 << bit for bit in range((ranks - 1).bit_length())]
    rounds = []
    for distance in distances if rises else reversed(distances):
        moves = []
        for place in range(0, ranks - distance, 2 * distance):
            members = range(place + distance, min(place + 2 * distance, ranks))
            blocks: Sequence[int] = range(1) if whole else [(kind.root + one) % ranks for one in members]
            ends = [(kind.root + place) % ranks, (kind.root + place + distance) % ranks]
            source, target = reversed(ends) if rises else ends
            moves.append(Move(source, target, blocks, kind.name == "reduce"))
        rounds.append(moves)
    blocks_in_all = 1 if whole else ranks
    phases = phases_of(group, rounds, block=1 / blocks_in_all)
    return (Plan("binomial", "ring", phases, blocks_in_all),)
