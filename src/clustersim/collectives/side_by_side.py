"""Plans of several groups as one: every phase of all groups together, side by side.

*Equation.* Phase p of the whole holds the connections of phase p of every group; what a group's
messages wait for is within the group. So the phase puts the sum of the groups' bytes on each link, and
ends when the slowest group is done with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, chain

from clustersim.collectives.plan import Carries, Payload, Phase, Plan

__all__ = ["merged"]

_Key = tuple[str, str, int, tuple[tuple[int, bool], ...]]


def merged(by_group: Sequence[Sequence[Plan]]) -> tuple[Plan, ...]:
    """Return for each plan that all groups have the one of all of them together; may be empty.

    Plans are the same if they are of one algorithm and go through phases of the same sort. A group
    alone keeps its plans as they are.
    """
    if len(by_group) == 1:
        return tuple(by_group[0])
    first, *others = [dict(zip(_keys(plans), plans, strict=True)) for plans in by_group]
    return tuple(
        _side_by_side([plan, *(plans[key] for plans in others)])
        for key, plan in first.items()
        if all(key in plans for plans in others)
    )


def _keys(plans: Iterable[Plan]) -> list[_Key]:
    """What is equal for the same plans of two groups, and differs between those of one."""
    seen: Counter[str] = Counter()
    keys: list[_Key] = []
    for plan in plans:
        sorts = tuple((phase.lag, phase.counts_fill) for phase in plan.phases)
        keys.append((plan.algorithm, plan.family, seen[plan.algorithm], sorts))
        seen[plan.algorithm] += 1
    return keys


def _side_by_side(plans: Sequence[Plan]) -> Plan:
    phases = zip(*(plan.phases for plan in plans), strict=True)
    return replace(plans[0], phases=tuple(map(_phase, phases)))


def _phase(phases: Sequence[Phase]) -> Phase:
    counts = [len(phase.connections) for phase in phases]
    firsts = [0, *accumulate(counts[:-1])]
    return replace(
        phases[0],
        connections=tuple(chain.from_iterable(phase.connections for phase in phases)),
        volumes=[*chain.from_iterable(phase.volumes for phase in phases)],
        messages=[*chain.from_iterable(phase.messages for phase in phases)],
        feeds=[
            tuple(first + index for index in fed)
            for first, phase in zip(firsts, phases, strict=True)
            for fed in phase.feeds
        ],
        carries=_carries(firsts, [phase.carries for phase in phases]),
        groups=len(phases),
    )


def _carries(firsts: Sequence[int], carries: Sequence[Carries]) -> Carries:
    """What messages mean, in the blocks of their own group."""

    def found(index: int, message: int) -> Payload:
        group = bisect_right(firsts, index) - 1
        return carries[group](index - firsts[group], message)

    return found
