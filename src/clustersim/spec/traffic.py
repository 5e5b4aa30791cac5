"""What a scenario may say about how a workload's bytes compete on the links."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clustersim.spec._base import SpecModel

__all__ = ["TrafficSpec"]


class TrafficSpec(SpecModel):
    """Traffic class of a workload's bytes: what they get of links that others use as well."""

    priority: Annotated[int, Field(ge=0, le=7)] = 0
    """0 is served first, 1 gets only what 0 leaves, and so on, as the eight priorities of
    Ethernet (IEEE 802.1Q) and the virtual lanes of InfiniBand."""
    weight: Annotated[float, Field(gt=0.0)] = 1.0
    """Among traffic of one priority, each connection counts as this many connections."""
