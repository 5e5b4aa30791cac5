"""Which layouts nothing else beats in everything."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.study.plan.layouts import Candidate

__all__ = ["dominates", "objectives", "pareto_front"]

Objectives = tuple[float, float, float]
"""Seconds, bytes of memory, bytes on the network: less is better."""


def objectives(candidate: Candidate) -> Objectives:
    """Return what a layout is judged by: its simulated time, or what it takes at the least."""
    time_s = candidate.assessed.bound_s if candidate.simulated is None else candidate.iteration_s
    return time_s, candidate.assessed.memory_bytes, candidate.assessed.network_bytes


def dominates(one: Objectives, other: Objectives) -> bool:
    """Whether `one` is at least as good in everything and better in something."""
    return one != other and all(own <= theirs for own, theirs in zip(one, other, strict=True))


def pareto_front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the layouts that no other one dominates, fastest first.

    **Checked by:** tests/study/test_plan_search.py, against all pairs.
    """
    front: list[tuple[Objectives, Candidate]] = []
    for candidate in sorted(candidates, key=lambda each: (objectives(each), each.number)):
        own = objectives(candidate)
        if not any(dominates(other, own) for other, _ in front):
            front.append((own, candidate))
    return tuple(candidate for _, candidate in front)
