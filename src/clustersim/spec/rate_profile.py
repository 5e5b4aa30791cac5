"""How the rate of arrivals changes over time: by the hour of a day, or step by step."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["PiecewiseProfile", "RateProfileSpec", "RateStepSpec", "SinusoidalProfile"]


class SinusoidalProfile(SpecModel):
    """A daily swing: the rate is multiplied by 1 + amplitude · cos(2π (t − peak) / period)."""

    kind: Literal["sinusoidal"]
    amplitude: Annotated[float, Field(gt=0.0, le=1.0)]
    """Highest rate over the mean, minus 1; at 1 the rate falls to nothing once per period."""
    period: TimeQuantity = quantity("24 h", TIME)
    """From one peak to the next."""
    peak: TimeQuantity = quantity("0 s", TIME)
    """When the rate is highest, from the start of the service."""

    @model_validator(mode="after")
    def _has_a_period(self) -> Self:
        if self.period == 0.0:
            raise FieldError("a period is longer than nothing", "period")
        return self


class RateStepSpec(SpecModel):
    """From a time on, what the rate is multiplied by."""

    at: TimeQuantity
    """From the start of the service, or of each period."""
    factor: Annotated[float, Field(ge=0.0)]
    """The rate is multiplied by this until the next step; 0 lets nothing arrive."""


class PiecewiseProfile(SpecModel):
    """A rate that changes in steps, once or in every period."""

    kind: Literal["piecewise"]
    steps: Annotated[tuple[RateStepSpec, ...], LIST, Field(min_length=1)]
    """In order of time, the first at 0 s."""
    period: TimeQuantity | None = None
    """After this the steps begin again. Default: the last step lasts."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [step.at for step in self.steps]
        if times[0] != 0.0:
            raise FieldError("the first step is at 0 s", "steps", 0, "at")
        for place, (earlier, later) in enumerate(pairwise(times), start=1):
            if later <= earlier:
                raise FieldError("steps are in order of time", "steps", place, "at")
        if self.period is not None and self.period <= times[-1]:
            raise FieldError("the period ends after its last step", "period")
        lasting = self.steps if self.period is not None else self.steps[-1:]
        if not any(step.factor for step in lasting):
            raise FieldError("the rate stays 0, so that the arrivals never end", "steps")
        return self


RateProfileSpec = Annotated[SinusoidalProfile | PiecewiseProfile, Field(discriminator="kind")]
