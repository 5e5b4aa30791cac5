"""When requests arrive at a service: what a scenario may say about it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, InputPath, SpecModel
from clustersim.spec.rate_profile import RateProfileSpec
from clustersim.units import TIME, RateQuantity, TimeQuantity, quantity

__all__ = [
    "ArrivalsSpec",
    "ClientArrivals",
    "ClosedLoopArrivals",
    "FixedArrivals",
    "GammaArrivals",
    "PoissonArrivals",
    "RatedArrivals",
    "RowsSpec",
    "SessionArrivals",
    "TraceArrivals",
    "WeibullArrivals",
]


class PoissonArrivals(SpecModel):
    """Independent arrivals at a constant mean rate."""

    kind: Literal["poisson"]
    rate: RateQuantity
    """Mean arrival rate."""
    profile: RateProfileSpec | None = None
    """How the rate changes over time. Default: it does not."""


class GammaArrivals(SpecModel):
    """Renewal arrivals with gamma-distributed gaps: bursty above a coefficient of variation of 1."""

    kind: Literal["gamma"]
    rate: RateQuantity
    """Mean arrival rate."""
    cv: Annotated[float, Field(gt=0.0)]
    """Coefficient of variation of the gaps; 1 is Poisson."""
    profile: RateProfileSpec | None = None
    """How the rate changes over time. Default: it does not."""


class WeibullArrivals(SpecModel):
    """Renewal arrivals with Weibull-distributed gaps: longer pauses than a gamma of the same variation."""

    kind: Literal["weibull"]
    rate: RateQuantity
    """Mean arrival rate."""
    cv: Annotated[float, Field(ge=0.05, le=50.0)]
    """Coefficient of variation of the gaps; 1 is Poisson."""
    profile: RateProfileSpec | None = None
    """How the rate changes over time. Default: it does not."""


class FixedArrivals(SpecModel):
    """One request every 1/rate seconds."""

    kind: Literal["fixed"]
    rate: RateQuantity
    """Arrival rate."""
    profile: RateProfileSpec | None = None
    """How the rate changes over time. Default: it does not."""


RatedArrivals = Annotated[
    PoissonArrivals | GammaArrivals | WeibullArrivals | FixedArrivals, Field(discriminator="kind")
]
"""Arrivals that follow from a rate."""


class ClosedLoopArrivals(SpecModel):
    """A fixed number of clients; each sends its next request some time after its last answer."""

    kind: Literal["closed-loop"]
    clients: Annotated[int, Field(ge=1)]
    """Clients, each with one request outstanding."""
    think_time: TimeQuantity = quantity("0 s", TIME)
    """Mean of the exponential pause between an answer and the next request."""


class ClientArrivals(SpecModel):
    """Many clients, each a renewal process of its own whose rate and burstiness change over time."""

    kind: Literal["clients"]
    table: str | None = None
    """Mixture of the catalogue, e.g. `servegen-m-small`."""
    path: InputPath | None = None
    """In place of it: CSV or CSV.gz with columns `client,window_start_s,rate_rps,arrival_dist,param1`
    (ServeGen's fits: per client and window the rate, `Gamma` or `Weibull`, and its shape)."""
    window_start: TimeQuantity = quantity("0 s", TIME)
    """Time of the data at which the service opens."""
    rate: RateQuantity | None = None
    """Mean rate of all clients over the service's `duration`, before `rate_scale`. Default: that
    of the data."""
    rate_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Every client's rate is multiplied by this."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.table is None) == (self.path is None):
            raise ValueError("give either 'table' or 'path'")
        return self


class SessionArrivals(SpecModel):
    """Conversations: each turn sends all that was said before, and what is new."""

    kind: Literal["sessions"]
    starts: RatedArrivals
    """When sessions begin."""
    turns: Annotated[float, Field(ge=1.0)]
    """Mean number of requests of a session."""
    turns_distribution: Literal["geometric", "fixed"] = "geometric"
    """`geometric`: after each turn a session ends with probability 1/turns; `fixed`: all have as many."""
    think_time: TimeQuantity
    """Mean of the exponential pause between an answer and the next turn."""
    system_prompt: Annotated[int, Field(ge=0)] = 0
    """Tokens that every prompt begins with, the same in all sessions."""
    context_limit: Annotated[int, Field(ge=2)] = 8192
    """A session ends before a turn whose prompt and answer would exceed this many tokens; a first
    turn is cut to it."""

    @model_validator(mode="after")
    def _whole_turns_and_room(self) -> Self:
        if self.turns_distribution == "fixed" and self.turns != int(self.turns):
            raise FieldError("a fixed number of turns is a whole number", "turns")
        if self.system_prompt > self.context_limit - 2:
            raise FieldError("leaves no room for a prompt below 'context_limit'", "system_prompt")
        return self


class RowsSpec(SpecModel):
    """Which rows of a trace count: those with a value in a column."""

    column: Annotated[str, Field(min_length=1)]
    """Name in the header."""
    equals: str
    """What stands there."""


class TraceArrivals(SpecModel):
    """Arrival times and lengths from a file."""

    kind: Literal["trace"]
    path: InputPath
    """CSV or CSV.gz, relative to the scenario file: the Azure LLM inference format of 2023 and 2024
    (`TIMESTAMP,ContextTokens,GeneratedTokens`), BurstGPT's (`Timestamp,…,Request tokens,Response tokens,…`)
    or columns `arrived_at,prompt,output`; or a Mooncake trace (`.jsonl`, `.jsonl.gz`), with the
    hashes of its prefixes."""
    rows: Annotated[tuple[RowsSpec, ...], LIST] = ()
    """Only rows that agree with all of these; CSV alone."""
    rate_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Gaps are divided by this: 2 doubles the load."""


ArrivalsSpec = Annotated[
    PoissonArrivals
    | GammaArrivals
    | WeibullArrivals
    | FixedArrivals
    | ClosedLoopArrivals
    | ClientArrivals
    | SessionArrivals
    | TraceArrivals,
    Field(discriminator="kind"),
]
