"""Bruck's algorithms: ⌈log₂ N⌉ rounds for any N, in each a message to the rank 2^k away.

**Source:** Bruck, Ho, Kipnis, Upfal and Weathersby, Efficient algorithms for all-to-all
communications in multiport message-passing systems, IEEE Trans. Parallel Distrib. Syst. 8 (1997);
the barrier: Hensgen, Finkel and Manber, Two algorithms for barrier synchronization (1988).
"""

from __future__ import annotations

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Payload, Phase, Plan, exchange
from clustersim.collectives.rounds import Move, phases_of

__all__ = ["bruck_plans"]


def bruck_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-gather, an all-to-all or a barrier in ⌈log₂ N⌉ rounds.

    *Equation.* All-gather ``T = ⌈log₂ N⌉·α + (N-1)/N·S/x``; all-to-all
    ``T = Σ_k (α + n_k/N·S/x)`` with n_k the numbers below N that have bit k, S/2 per round for a
    power of two; barrier (dissemination) ``T = ⌈log₂ N⌉·α``.
    """
    ranks = len(group)
    distances = [1 << bit for bit in range((ranks - 1).bit_length())]
    if kind.name == "all_to_all":
        phases = tuple(_forwarding(group, distance) for distance in distances)
        return (Plan("bruck", "ring", phases, ranks * ranks),)
    if kind.name == "barrier":
        rounds = [
            [Move(rank, (rank + distance) % ranks, range(1), True) for rank in range(ranks)]
            for distance in distances
        ]
        return (Plan("bruck", "ring", phases_of(group, rounds, block=1.0), 1),)
    rounds = [
        [
            Move(
                rank,
                (rank - distance) % ranks,
                [(rank + ahead) % ranks for ahead in range(min(distance, ranks - distance))],
            )
            for rank in range(ranks)
        ]
        for distance in distances
    ]
    return (Plan("bruck", "ring", phases_of(group, rounds, block=1 / ranks), ranks),)


def _forwarding(group: Group, distance: int) -> Phase:
    """The round in which each block whose way still has this distance in it goes on by that."""
    ranks = len(group)
    ways = [way for way in range(ranks) if way & distance]

    def carries(rank: int, _: int) -> Payload:
        sources = [((rank - way % distance) % ranks, way) for way in ways]
        return Payload([source * ranks + (source + way) % ranks for source, way in sources])

    connections = [
        group.connect(gpu, group.gpus[(rank + distance) % ranks]) for rank, gpu in enumerate(group.gpus)
    ]
    return exchange(connections, [len(ways) / ranks] * ranks, carries)
