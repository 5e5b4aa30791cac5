"""How much energy and money a workload takes, and a training run as a whole."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel
from clustersim.units import PowerQuantity, PriceQuantity, TokensQuantity

__all__ = ["EconomicsSpec", "RunningCostSpec"]


class RunningCostSpec(SpecModel):
    """Prices and power of a workload's machines."""

    price: PriceQuantity | None = None
    """Of one GPU with its share of host and network. Default: the lowest price of the catalogue for this
    accelerator."""
    provider: Annotated[str, Field(min_length=1)] | None = None
    """Whose price of the catalogue is taken."""
    pue: Annotated[float, Field(ge=1.0, le=10.0)] | None = None
    """Power usage effectiveness: energy of the data centre over that of its machines. Default: that of
    `clustersim catalog gpu-server`."""
    host_power: PowerQuantity | None = None
    """Of processors, memory, adapters and fans, per GPU. Default: a share of the GPU's design power, as
    `clustersim catalog gpu-server` has it."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if self.price is not None and self.provider is not None:
            raise FieldError("gives a price of the catalogue, and 'price' another; leave one out", "provider")
        return self


class EconomicsSpec(RunningCostSpec):
    """The whole run that the simulated iterations are a part of, its prices and its power."""

    tokens: TokensQuantity | None = None
    """Tokens to train on: days, energy and money of the run are told."""
    samples: Annotated[int, Field(ge=1)] | None = None
    """Samples to train on, in place of `tokens`; for models without tokens."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.tokens is not None and self.samples is not None:
            raise FieldError("give either 'tokens' or 'samples', not both", "samples")
        return self
