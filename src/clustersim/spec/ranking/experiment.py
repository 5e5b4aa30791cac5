"""What a scenario may say about an experiment: some of the queries are ranked by another model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clustersim.spec._base import SpecModel
from clustersim.spec.ranking.pool import RankingPoolSpec

__all__ = ["EngagementSpec", "RankingExperimentSpec"]

_Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class EngagementSpec(SpecModel):
    """How often users take what they are shown, by who ranked it."""

    control: _Probability
    """Chance that a query ranked by the service's own model ends in a click, or whatever counts."""
    variant: _Probability
    """The same for the other model."""


class RankingExperimentSpec(SpecModel):
    """Traffic divided between the service's own model (control) and another (variant)."""

    variant: RankingPoolSpec
    """Replicas of the other model, on GPUs of their own."""
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Share of the queries that go to the variant, by a hash of their number."""
    salt: str = ""
    """Goes into the hash: another salt is another division of the same queries."""
    engagement: EngagementSpec | None = None
    """Outcomes of the queries. Default: none; latencies and costs are compared only."""
