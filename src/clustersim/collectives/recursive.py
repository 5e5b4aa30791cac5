"""Recursive doubling and halving: collectives in log₂ N rounds between partners.

In each round a rank exchanges with the partner whose number differs in one bit. Where N is no power
of two, P = 2^⌊log₂ N⌋ ranks take part; each of the first N - P even ranks hands its data to the rank
behind it, and gets the result from there (*folding*).

**Source:** Thakur, Rabenseifner and Gropp, Optimization of collective communication operations in
MPICH, Int. J. High Perform. Comput. Appl. 19 (2005).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.collectives.group import Group
from clustersim.collectives.kinds import Kind
from clustersim.collectives.plan import Plan
from clustersim.collectives.rounds import Move, phases_of

__all__ = ["halving_doubling_plans", "rabenseifner_plans", "recursive_doubling_plans"]


@dataclass(frozen=True)
class _Fold:
    """The P ranks that take part, and those that hand their data to one of them.

    Parameters
    ----------
    order
        Ranks in the order in which they are folded.
    """

    order: Sequence[int]

    @property
    def size(self) -> int:
        return 1 << (len(self.order).bit_length() - 1)

    @property
    def extra(self) -> int:
        return len(self.order) - self.size

    def rank(self, place: int) -> int:
        """Return the rank that takes part in place `place` of P."""
        return self.order[2 * place + 1 if place < self.extra else place + self.extra]

    def begin(self, place: int) -> int:
        """Return where in the order those begin that the rank in this place stands for."""
        return 2 * place if place < self.extra else place + self.extra

    def handed(self) -> list[tuple[int, int]]:
        """Return (rank left out, rank that stands for it)."""
        return [(self.order[2 * place], self.order[2 * place + 1]) for place in range(self.extra)]

    def pairs(self, distance: int) -> Iterator[tuple[int, int]]:
        """Return each place with its partner's, `distance` (a power of two) away."""
        return ((place, place ^ distance) for place in range(self.size))

    @property
    def distances(self) -> list[int]:
        """Powers of two below P, rising."""
        return [1 << bit for bit in range(self.size.bit_length() - 1)]


def _plan(group: Group, name: str, rounds: Sequence[Sequence[Move]], blocks: int) -> tuple[Plan, ...]:
    return (Plan(name, "ring", phases_of(group, rounds, block=1 / blocks), blocks),)


def recursive_doubling_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan an all-reduce that exchanges everything in each round, or an all-gather by doubling.

    *Equation.* All-reduce ``T = ⌈log₂ N⌉·(α + S/x)``; all-gather
    ``T = log₂ N·α + (N-1)/N·S/x``, both for powers of two; folding adds 2(α + S/x), and
    2α + (1 + 1/N)·S/x to an all-gather.
    """
    fold = _Fold(range(len(group)))
    if kind.name == "all_gather":
        return _plan(group, "recursive-doubling", _gather_rounds(fold), len(group))
    everything = range(1)
    rounds = [
        [Move(one, other, everything, True) for one, other in fold.handed()],
        *(
            [Move(fold.rank(place), fold.rank(partner), everything, True) for place, partner in fold.pairs(d)]
            for d in fold.distances
        ),
        [Move(other, one, everything) for one, other in fold.handed()],
    ]
    return _plan(group, "recursive-doubling", rounds, 1)


def halving_doubling_plans(group: Group, kind: Kind) -> tuple[Plan, ...]:
    """Plan a reduce-scatter by halving, an all-gather by doubling, or an all-reduce of both.

    *Equation.* For powers of two each of both ``T = log₂ N·α + (N-1)/N·S/x``.
    """
    fold = _Fold(range(len(group)))
    if kind.name == "all_reduce":
        return rabenseifner_plans(group, kind, name="halving-doubling")
    rounds = _gather_rounds(fold) if kind.name == "all_gather" else _scatter_rounds(fold)
    return _plan(group, "halving-doubling", rounds, len(group))


def _gather_rounds(fold: _Fold) -> list[list[Move]]:
    """Each place has the blocks of all places that agree with it in the higher bits."""
    rounds = [[Move(one, other, (one,)) for one, other in fold.handed()]]
    for distance in fold.distances:
        rounds.append(
            [
                Move(fold.rank(place), fold.rank(partner), _span(fold, place, distance))
                for place, partner in fold.pairs(distance)
            ]
        )
    rounds.append([Move(other, one, range(len(fold.order))) for one, other in fold.handed()])
    return rounds


def _scatter_rounds(fold: _Fold) -> list[list[Move]]:
    """The same backwards, adding: each place sends what belongs to its partner's half."""
    rounds = [[Move(one, other, range(len(fold.order)), True) for one, other in fold.handed()]]
    for distance in reversed(fold.distances):
        rounds.append(
            [
                Move(fold.rank(place), fold.rank(partner), _span(fold, partner, distance), True)
                for place, partner in fold.pairs(distance)
            ]
        )
    rounds.append([Move(other, one, (one,)) for one, other in fold.handed()])
    return rounds


def _span(fold: _Fold, place: int, width: int) -> range:
    """Blocks of the aligned `width` places around `place`."""
    first = place // width * width
    return range(fold.begin(first), fold.begin(first + width))


def rabenseifner_plans(group: Group, kind: Kind, *, name: str = "rabenseifner") -> tuple[Plan, ...]:
    """Plan an all-reduce (halving, then doubling) or a reduction (halving, then a binomial gathering).

    Halves go to the nearest partner first, so that most bytes stay near; blocks then lie in
    bit-reversed order.

    *Equation.* For powers of two ``T = 2·log₂ N·α + 2·(N-1)/N·S/x``; folding adds 2(α + S/x)
    (to a reduction α + S/x).
    """
    order = list(range(len(group)))
    fold = _Fold(order)
    if kind.name == "reduce":
        first = 1 if fold.extra else 0
        order[first], order[kind.root] = order[kind.root], order[first]
    size = fold.size
    halves = [_halves(place, fold.distances, size) for place in range(size)]
    everything = range(size)
    rounds = [[Move(one, other, everything, True) for one, other in fold.handed()]]
    for bit, distance in enumerate(fold.distances):
        rounds.append(
            [
                Move(fold.rank(place), fold.rank(partner), halves[partner][bit + 1], True)
                for place, partner in fold.pairs(distance)
            ]
        )
    for bit, distance in reversed(list(enumerate(fold.distances))):
        rounds.append(
            [
                Move(fold.rank(place), fold.rank(partner), halves[place][bit + 1])
                for place, partner in fold.pairs(distance)
                if kind.name != "reduce" or distance <= place < 2 * distance
            ]
        )
    if kind.name != "reduce":
        rounds.append([Move(other, one, everything) for one, other in fold.handed()])
    return _plan(group, name, rounds, size)


def _halves(place: int, distances: Sequence[int], size: int) -> list[range]:
    """What a place still reduces after 0, 1, 2, … rounds: a half of a half of a half."""
    found = [range(size)]
    for distance in distances:
        last = found[-1]
        middle = len(last) // 2
        found.append(last[middle:] if place & distance else last[:middle])
    return found
