"""GPUs that compute more slowly than others of their kind."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel

__all__ = ["StragglerSpec"]

_Index = Annotated[int, Field(ge=0)]


class StragglerSpec(SpecModel):
    """One GPU, or all GPUs of a node, that are slow all the time: hot, power-capped or faulty."""

    gpu: _Index | None = None
    """Number of the GPU among those of the job, from 0. Give `gpu` or `node`."""
    node: _Index | None = None
    """Number of the node among those that the job has GPUs of, from 0."""
    slowdown: Annotated[float, Field(ge=1.0, le=1000.0)]
    """How many times longer its kernels take."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.gpu is None and self.node is None:
            raise ValueError("give 'gpu' or 'node': who is slow")
        if self.gpu is not None and self.node is not None:
            raise FieldError("give either 'gpu' or 'node', not both", "node")
        return self
