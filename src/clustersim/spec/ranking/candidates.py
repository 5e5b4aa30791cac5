"""How many candidates a query asks to rank: what a scenario may say about it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel

__all__ = [
    "CandidatesSpec",
    "FixedCandidates",
    "LogNormalCandidates",
    "ParetoCandidates",
    "QuantileCandidates",
]


class QuantileCandidates(SpecModel):
    """Candidates drawn from a quantile table."""

    kind: Literal["quantiles"]
    table: str = "mlperf-dlrm"
    """Table of the catalogue. `mlperf-dlrm`: 100 to 700, mean 270, as MLPerf's ranking benchmarks have."""


class FixedCandidates(SpecModel):
    """Every query has as many candidates."""

    kind: Literal["fixed"]
    samples: Annotated[int, Field(ge=1)]
    """Candidates of each query."""


class LogNormalCandidates(SpecModel):
    """Candidates whose logarithm is normal: a long tail of large queries."""

    kind: Literal["log-normal"]
    median: Annotated[float, Field(ge=1.0)]
    """Half of the queries have fewer."""
    sigma: Annotated[float, Field(gt=0.0, le=3.0)]
    """Standard deviation of the natural logarithm."""
    max: Annotated[int, Field(ge=1)] = 100_000
    """A query never has more; larger ones are cut to it."""

    @model_validator(mode="after")
    def _median_below_largest(self) -> Self:
        if self.median > self.max:
            raise FieldError(f"{self.median:g} is more than 'max', {self.max}", "median")
        return self


class ParetoCandidates(SpecModel):
    """Candidates with a power-law tail: few queries have most of the work."""

    kind: Literal["pareto"]
    min: Annotated[int, Field(ge=1)]
    """Fewest candidates."""
    shape: Annotated[float, Field(gt=0.0)]
    """Exponent of the tail: P(more than x) = (min/x)^shape. At 2 and below variance grows with `max`."""
    max: Annotated[int, Field(ge=1)] = 100_000
    """A query never has more; larger ones are cut to it."""

    @model_validator(mode="after")
    def _some_range(self) -> Self:
        if self.max < self.min:
            raise FieldError(f"{self.max} is less than 'min', {self.min}", "max")
        return self


CandidatesSpec = Annotated[
    QuantileCandidates | FixedCandidates | LogNormalCandidates | ParetoCandidates,
    Field(discriminator="kind"),
]
