"""What a scenario may say about how queries are cut and put together into batches."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["BatchingSpec"]


class BatchingSpec(SpecModel):
    """How the queries that wait at a replica become batches of its workers."""

    max_samples: Annotated[int, Field(ge=1)] | None = None
    """Most samples of a batch. A query with more is cut into pieces. Default: the engine's."""
    max_delay: TimeQuantity = quantity("0 s", TIME)
    """How long an idle worker waits for a batch to fill, from the arrival of its oldest piece."""
    split: Annotated[int, Field(ge=1)] | None = None
    """Queries are cut into pieces of at most this many samples, and what waits is shared evenly over the idle
    workers, so that several compute one query (DeepRecSys). A query is done with its last piece.
    Default: queries are cut at `max_samples` alone, and the first idle worker fills its batch."""

    @model_validator(mode="after")
    def _pieces_fit_into_batches(self) -> Self:
        if self.split is not None and self.max_samples is not None and self.split > self.max_samples:
            raise FieldError(
                f"a piece of {self.split} is more than 'max_samples', {self.max_samples}", "split"
            )
        return self
