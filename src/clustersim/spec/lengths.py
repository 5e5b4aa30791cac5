"""What a scenario may say about how long prompts and answers are."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, InputPath, SpecModel
from clustersim.spec.arrivals import ArrivalsSpec

__all__ = ["LengthsSpec", "check_lengths"]


class LengthsSpec(SpecModel):
    """Prompt and output lengths where the arrivals bring none: a table, a file, or fixed ones."""

    table: str | None = None
    """Quantile table of the catalogue, e.g. `azure-conversation-2023`."""
    path: InputPath | None = None
    """CSV or CSV.gz with a column each for prompt and output tokens, as traces have them."""
    order: Literal["random", "file"] = "random"
    """Of a file: each request takes a row at random, or the next one, and after the last the first again."""
    prompt: Annotated[int, Field(ge=1)] | None = None
    """Every prompt has this many tokens; with `output`, in place of a table."""
    output: Annotated[int, Field(ge=1)] | None = None
    """Every answer has this many tokens."""
    prompt_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Prompts of a table or file are this many times as long, rounded, at least 1 token."""
    output_scale: Annotated[float, Field(gt=0.0)] = 1.0
    """Answers of a table or file are this many times as long, rounded, at least 1 token."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        fixed = (self.prompt is not None, self.output is not None)
        sources = (self.table is not None, self.path is not None, any(fixed))
        if sum(sources) != 1 or any(fixed) != all(fixed):
            raise ValueError("give either 'table', or 'path', or both 'prompt' and 'output'")
        if self.path is None and self.order != "random":
            raise FieldError("is for a file of lengths; give 'path'", "order")
        for name, scale in (("prompt_scale", self.prompt_scale), ("output_scale", self.output_scale)):
            if any(fixed) and scale != 1.0:
                raise FieldError("lengths that are given need no scale", name)
        return self


def check_lengths(arrivals: ArrivalsSpec, lengths: LengthsSpec | None) -> None:
    """Refuse lengths beside a trace, and other arrivals without any.

    Raises
    ------
    FieldError
        To be raised from a validator of what has both fields.
    """
    if arrivals.kind == "trace":
        if lengths is not None:
            raise FieldError("a trace brings its own lengths; remove these", "lengths")
    elif lengths is None:
        raise FieldError(f"'{arrivals.kind}' arrivals need 'lengths'")
