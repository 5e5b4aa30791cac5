"""What a scenario may say about new weights that are brought to replicas while they serve."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel
from clustersim.units import TIME, TimeQuantity, quantity

__all__ = ["ModelPushSpec"]


class ModelPushSpec(SpecModel):
    """Updates of a model's weights, from a parameter store over the network into the replicas."""

    every: TimeQuantity
    """From the begin of one push to that of the next."""
    first: TimeQuantity | None = None
    """Begin of the first push after the service's `start`. Default: `every`."""
    pushes: Annotated[int, Field(ge=1)] | None = None
    """No more than this many. Default: as long as queries are served."""
    rows: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the rows of each table that a push brings: 1 is a full push, less a delta. The weights of
    the layers always come whole."""
    source: Annotated[int, Field(ge=0)] | None = None
    """Node of the cluster, from 0, whose host is the parameter store. Default: the last one."""
    memory: Literal["in-place", "double-buffered"] = "in-place"
    """`in-place`: rows are overwritten where they lie, and the device computes no batch meanwhile.
    `double-buffered`: they go into a second copy, for which there has to be room, and pointers are
    changed over at the end."""
    drain: bool = False
    """A replica takes no new queries while it is updated, if another one does."""
    at_once: Annotated[int, Field(ge=1)] = 1
    """Replicas that are updated at the same time; the others follow, one after the other."""
    chunk_rows: Annotated[int, Field(ge=1)] = 1_000_000
    """Rows that are written between two batches of an `in-place` push."""
    switch: TimeQuantity = quantity("0 s", TIME)
    """How long a device computes nothing at the change-over of a `double-buffered` push."""

    @model_validator(mode="after")
    def _repeats(self) -> Self:
        if self.every <= 0.0:
            raise FieldError("a push takes some time; give more than 0 s", "every")
        return self
