"""Which algorithms there are, for which kinds of collectives, and what `auto` chooses from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clustersim.collectives.binomial import binomial_plans
from clustersim.collectives.bruck import bruck_plans
from clustersim.collectives.direct import direct_plans, one_shot_plans, send_recv_plans
from clustersim.collectives.group import Group
from clustersim.collectives.hierarchical import hierarchical_plans, three_level_plans
from clustersim.collectives.kinds import POINT_TO_POINT, Kind
from clustersim.collectives.nvls import nvls_plans
from clustersim.collectives.plan import NotApplicableError, Plan
from clustersim.collectives.recursive import (
    halving_doubling_plans,
    rabenseifner_plans,
    recursive_doubling_plans,
)
from clustersim.collectives.ring import bidirectional_ring_plans, chain_plans, ring_plans
from clustersim.collectives.sharp import sharp_plans
from clustersim.collectives.torus import torus_plans
from clustersim.collectives.tree import rooted_tree_plans, tree_plans
from clustersim.errors import InputError

__all__ = ["ALGORITHMS", "AUTOMATIC", "Algorithm", "plans"]

Planner = Callable[[Group, Kind], tuple[Plan, ...]]


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of the table.

    Parameters
    ----------
    planners
        By kind of collective the function that plans it.
    falls_back
        Whether NCCL, told to use it, takes another where it cannot; else that is an error.
    """

    planners: Mapping[str, Planner]
    falls_back: bool = False


def _for(planner: Planner, *kinds: str) -> dict[str, Planner]:
    return dict.fromkeys(kinds, planner)


_THREE = ("all_reduce", "reduce_scatter", "all_gather")

ALGORITHMS: Mapping[str, Algorithm] = {
    "ring": Algorithm(_for(ring_plans, *_THREE) | _for(chain_plans, "broadcast", "reduce"), falls_back=True),
    "bidirectional-ring": Algorithm(_for(bidirectional_ring_plans, *_THREE)),
    "tree": Algorithm(
        _for(tree_plans, "all_reduce") | _for(rooted_tree_plans, "broadcast", "reduce"), falls_back=True
    ),
    "binomial": Algorithm(_for(binomial_plans, "broadcast", "reduce", "gather", "scatter")),
    "recursive-doubling": Algorithm(_for(recursive_doubling_plans, "all_reduce", "all_gather")),
    "halving-doubling": Algorithm(_for(halving_doubling_plans, *_THREE)),
    "rabenseifner": Algorithm(_for(rabenseifner_plans, "all_reduce", "reduce")),
    "bruck": Algorithm(_for(bruck_plans, "all_gather", "all_to_all", "barrier")),
    "direct": Algorithm(
        _for(direct_plans, *_THREE, "broadcast", "reduce", "gather", "scatter", "all_to_all")
        | _for(send_recv_plans, "send_recv")
    ),
    "one-shot": Algorithm(_for(one_shot_plans, "all_reduce")),
    "hierarchical": Algorithm(_for(hierarchical_plans, *_THREE)),
    "hierarchical-3-level": Algorithm(_for(three_level_plans, *_THREE)),
    "torus": Algorithm(_for(torus_plans, *_THREE)),
    "nvls": Algorithm(_for(nvls_plans, "all_reduce"), falls_back=True),
    "nvlstree": Algorithm(_for(nvls_plans, "all_reduce"), falls_back=True),
    "sharp": Algorithm(_for(sharp_plans, "all_reduce"), falls_back=True),
}
"""All algorithms; a barrier is an all-reduce of a few bytes where it is not named."""

AUTOMATIC: Mapping[str, tuple[str, ...]] = {
    "all_reduce": ("tree", "nvls", "sharp", "ring"),
    **dict.fromkeys(("reduce_scatter", "all_gather", "broadcast", "reduce"), ("ring",)),
    **dict.fromkeys(POINT_TO_POINT, ("direct",)),
}
"""What NCCL chooses from, by kind; its times are what the parameters were fitted to."""


def plans(group: Group, kind: Kind, algorithm: str) -> tuple[Plan, ...]:
    """Return the plans to choose from: at least one.

    `auto` gives those of `AUTOMATIC` that apply. A named algorithm of NCCL that does not apply gives
    what `auto` falls back on: the ring, or direct messages. So do kinds that are sends and receives.

    Raises
    ------
    InputError
        For another algorithm that does not know the kind, or does not apply to the group.
    """
    if kind.name == "barrier" and "barrier" not in _planners(algorithm):
        kind = Kind("all_reduce")
    automatic = AUTOMATIC.get(kind.name, ())
    if algorithm == "auto":
        return tuple(plan for name in automatic for plan in _applicable(group, kind, name))
    planner = _planners(algorithm).get(kind.name)
    if planner is None and not ALGORITHMS[algorithm].falls_back and kind.name not in POINT_TO_POINT:
        raise InputError(
            f"'{algorithm}' is for {', '.join(_planners(algorithm))}, not {kind.name}; "
            f"for that take one of {', '.join(_algorithms_for(kind.name))}"
        )
    found: tuple[Plan, ...] = ()
    if planner is not None:
        found = _applicable(group, kind, algorithm)
    return found or _applicable(group, kind, automatic[-1])


def _planners(algorithm: str) -> Mapping[str, Planner]:
    return ALGORITHMS[algorithm].planners if algorithm in ALGORITHMS else {}


def _applicable(group: Group, kind: Kind, name: str) -> tuple[Plan, ...]:
    algorithm = ALGORITHMS[name]
    try:
        return algorithm.planners[kind.name](group, kind)
    except NotApplicableError:
        if algorithm.falls_back:
            return ()
        raise


def _algorithms_for(kind: str) -> list[str]:
    return ["auto", *(name for name, algorithm in ALGORITHMS.items() if kind in algorithm.planners)]
