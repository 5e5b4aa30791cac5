"""What a scenario may ask of a service: arrivals and lengths of requests."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import InputPath, SpecModel
from clustersim.units import TIME, RateQuantity, TimeQuantity, quantity

__all__ = [
    "ArrivalsSpec",
    "ClosedLoopArrivals",
    "FixedArrivals",
    "GammaArrivals",
    "LengthsSpec",
    "PoissonArrivals",
    "TraceArrivals",
]


class PoissonArrivals(SpecModel):
    """Independent arrivals at a constant mean rate."""

    kind: Literal["poisson"]
    rate: RateQuantity
    """Mean arrival rate."""


class GammaArrivals(SpecModel):
    """Renewal arrivals with gamma-distributed gaps: bursty above a coefficient of variation of 1."""

    kind: Literal["gamma"]
    rate: RateQuantity
    """Mean arrival rate."""
    cv: Annotated[float, Field(gt=0.0)]
    """Coefficient of variation of the gaps; 1 is Poisson."""


class FixedArrivals(SpecModel):
    """One request every 1/rate seconds."""

    kind: Literal["fixed"]
    rate: RateQuantity
    """Arrival rate."""


class ClosedLoopArrivals(SpecModel):
    """A fixed number of clients; each sends its next request some time after its last answer."""

    kind: Literal["closed-loop"]
    clients: Annotated[int, Field(ge=1)]
    """Clients, each with one request outstanding."""
    think_time: TimeQuantity = quantity("0 s", TIME)
    """Mean of the exponential pause between an answer and the next request."""


class TraceArrivals(SpecModel):
    """Arrival times and lengths from a file."""

    kind: Literal["trace"]
    path: InputPath
    """CSV or CSV.gz, relative to the scenario file: the Azure LLM inference format
    (`TIMESTAMP,ContextTokens,GeneratedTokens`) or columns `arrived_at,prompt,output`."""
    rate_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Gaps are divided by this: 2 doubles the load."""


ArrivalsSpec = Annotated[
    PoissonArrivals | GammaArrivals | FixedArrivals | ClosedLoopArrivals | TraceArrivals,
    Field(discriminator="kind"),
]


class LengthsSpec(SpecModel):
    """Prompt and output lengths where the arrivals bring none."""

    table: str | None = None
    """Quantile table of the catalogue, e.g. `azure-conversation-2023`."""
    prompt: Annotated[int, Field(ge=1)] | None = None
    """Every prompt has this many tokens; with `output`, in place of a table."""
    output: Annotated[int, Field(ge=1)] | None = None
    """Every answer has this many tokens."""

    @model_validator(mode="after")
    def _table_or_fixed(self) -> Self:
        fixed = (self.prompt is not None, self.output is not None)
        if (self.table is not None) == any(fixed) or any(fixed) != all(fixed):
            raise ValueError("give either 'table', or both 'prompt' and 'output'")
        return self
