"""What a scenario may say about the stages of a ranking service that come before its own model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clustersim.spec.ranking.pool import RankingPoolSpec
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["RankingStageSpec"]


class RankingStageSpec(RankingPoolSpec):
    """One stage of a cascade: replicas of a model that score candidates and pass the best on."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the stage in all outputs, as `retrieval` or `early-rank`."""
    keep: Annotated[int, Field(ge=1)]
    """Most candidates that the stage passes on; a query with fewer keeps them all."""
    hand_over: TimeQuantity = quantity("0 s", TIME)
    """From the last score of this stage to the queue of the next: sorting, features of the survivors."""
    latency_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Share of the service's `slo.latency` that is meant for this stage; the share of the queries whose
    time in the stage is within it is reported."""
