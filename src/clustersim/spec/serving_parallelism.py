"""What a scenario may say about how a replica of a service lies on its GPUs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, SpecModel

__all__ = ["ServingParallelismSpec"]

_Count = Annotated[int, Field(ge=1)]


class ServingParallelismSpec(SpecModel):
    """How one replica is laid out: pipeline stages of data × tensor GPUs, in this order."""

    tensor: _Count = 1
    """GPUs that share every layer: heads and widths are divided."""
    pipeline: _Count = 1
    """Stages that the layers are divided into; as many batches are under way at once."""
    data: _Count = 1
    """Groups of `tensor` GPUs that compute the attention of different requests, each with the KV of its
    own, while experts are shared by all (data-parallel attention)."""
    expert: _Count = 1
    """Groups that the experts of every layer are divided over, out of a stage's tensor × data GPUs; the
    GPUs of a group divide the width of each expert."""
    expert_dispatch: Literal["all-reduce", "all-to-all", "deduplicated"] | None = None
    """How tokens get to their experts: `all-reduce`: every GPU has all tokens, and what experts make of them
    is added up; `all-to-all` sends every copy; `deduplicated` a token at most once to each node and GPU, as
    DeepEP does. Default: all-to-all with `expert` and `data` above 1, else all-reduce, as vLLM does."""
    expert_load: Annotated[float, Field(ge=1.0)] = 1.0
    """Tokens of the busiest group of experts over the mean; 1 is balanced."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.tensor * self.data) % self.expert:
            raise FieldError(
                f"{self.expert} groups do not divide the {self.tensor * self.data} GPUs of a stage "
                "(tensor × data)",
                "expert",
            )
        if self.expert_dispatch in ("all-to-all", "deduplicated") and self.expert == 1:
            raise FieldError("sends tokens to other GPUs' experts; set 'expert' above 1", "expert_dispatch")
        if self.expert_load > 1.0 and self.expert == 1:
            raise FieldError("is of groups of experts; set 'expert' above 1", "expert_load")
        return self

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor * self.data * self.pipeline

    @property
    def chosen_dispatch(self) -> Literal["all-reduce", "all-to-all", "deduplicated"]:
        """How tokens get to their experts, or the default."""
        if self.expert_dispatch is not None:
            return self.expert_dispatch
        return "all-to-all" if self.expert > 1 and self.data > 1 else "all-reduce"
