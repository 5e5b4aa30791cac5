"""What a scenario may say about several users of one service."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from clustersim.spec._base import SpecModel
from clustersim.spec.arrivals import ArrivalsSpec
from clustersim.spec.lengths import LengthsSpec, check_lengths
from clustersim.spec.objectives import SloSpec

__all__ = ["TenantSpec"]


class TenantSpec(SpecModel):
    """One of several streams of requests to the same service, with metrics of its own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name in tables and metrics."""
    arrivals: ArrivalsSpec
    """When its requests arrive."""
    lengths: LengthsSpec | None = None
    """Prompt and output lengths; needed unless the arrivals are a trace."""
    priority: Annotated[int, Field(ge=0)] = 0
    """0 is served first, where the scheduler orders by priority."""
    weight: Annotated[float, Field(gt=0.0)] = 1.0
    """Its share against that of other tenants, where the scheduler shares fairly."""
    slo: SloSpec | None = None
    """Its objectives. Default: the service's."""

    @model_validator(mode="after")
    def _has_lengths(self) -> Self:
        check_lengths(self.arrivals, self.lengths)
        return self
