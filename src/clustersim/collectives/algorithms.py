"""Which algorithms there are, which apply to a group and kind, and nccl-tests' bus factors."""

from __future__ import annotations

from clustersim.collectives.direct import all_to_all_plan, broadcast_plan, send_recv_plan
from clustersim.collectives.group import Group
from clustersim.collectives.hierarchical import hierarchical_plans
from clustersim.collectives.nvls import nvls_plans
from clustersim.collectives.plan import Plan
from clustersim.collectives.ring import PASSES, ring_plan
from clustersim.collectives.tree import tree_plans
from clustersim.errors import InputError, did_you_mean

__all__ = ["ALGORITHMS", "KINDS", "bus_bytes_factor", "plans"]

ALGORITHMS = ("auto", "ring", "tree", "hierarchical", "nvls")
KINDS = ("all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast", "send_recv")

_BEYOND_RING = {"tree": tree_plans, "hierarchical": hierarchical_plans, "nvls": nvls_plans}
_AUTOMATIC = ("tree", "nvls")
"""What NCCL chooses from, beside the ring; its times are what the parameters were fitted to."""


def plans(group: Group, kind: str, algorithm: str) -> tuple[Plan, ...]:
    """Return the plans to choose from: at least one.

    Raises
    ------
    InputError
        For an unknown kind of collective.
    """
    name, *ranks = kind.split(":")
    if name == "broadcast":
        return (broadcast_plan(group, *map(int, ranks or "0")),)
    if name == "send_recv":
        return (send_recv_plan(group, *map(int, ranks or "01")),)
    if name == "all_to_all":
        return (all_to_all_plan(group),)
    if name not in PASSES:
        raise InputError(f"unknown collective '{kind}'.{did_you_mean(name, KINDS)}")
    wanted = _AUTOMATIC if algorithm == "auto" else (algorithm,)
    found = [plan for one in wanted if one in _BEYOND_RING for plan in _BEYOND_RING[one](group, name)]
    if algorithm in ("auto", "ring") or not found:
        found.append(ring_plan(group, name))
    return tuple(found)


def bus_bytes_factor(kind: str, *, ranks: int) -> float:
    """Return the factor of nccl-tests: bus bandwidth = factor · size / time.

    **Source:** NVIDIA nccl-tests, doc/PERFORMANCE.md.
    """
    name = kind.split(":")[0]
    if name not in KINDS:
        raise InputError(f"unknown collective '{kind}'.{did_you_mean(name, KINDS)}")
    if name in ("broadcast", "send_recv"):
        return 1.0
    return PASSES.get(name, 1) * (ranks - 1) / ranks
