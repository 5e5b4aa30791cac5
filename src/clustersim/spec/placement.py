"""Where a workload's GPUs are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.spec._base import LIST, SpecModel

__all__ = ["PlacementSpec"]


class PlacementSpec(SpecModel):
    """How GPUs are picked for a workload; each GPU serves one workload."""

    policy: Literal["packed", "spread"] = "packed"
    """`packed`: the first free nodes in order; `spread`: nodes taken round-robin over the
    switches that they hang on, so that a group crosses the upper tiers."""
    nodes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], LIST] | None = None
    """Take GPUs of exactly these nodes (index from 0), in this order, instead of the policy."""
