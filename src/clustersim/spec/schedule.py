"""What a file of a collective's steps may say: who sends which chunks to whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec import yaml_io
from clustersim.spec._base import LIST, FieldError, SpecModel
from clustersim.spec.problems import validate

__all__ = ["MessageSpec", "ScheduleSpec", "read_schedule"]

_Rank = Annotated[int, Field(ge=0)]


class MessageSpec(SpecModel):
    """One message of a step."""

    source: _Rank
    """Rank that sends."""
    target: _Rank
    """Rank that receives."""
    chunks: Annotated[tuple[Annotated[int, Field(ge=0)], ...], LIST, Field(min_length=1)]
    """Which chunks of the data."""
    reduce: bool = False
    """Whether the receiver adds them to what it has, rather than replacing it."""


class ScheduleSpec(SpecModel):
    """An algorithm of one's own for one kind of collective, step by step."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "own"
    """What results call it."""
    collective: Literal[
        "all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "gather", "scatter", "all_to_all"
    ]
    """Kind of collective that it does."""
    ranks: Annotated[int, Field(ge=2)]
    """Ranks that it is for."""
    chunks: Annotated[int, Field(ge=1)]
    """Equal chunks that the data is cut into. Rank r of N owns those from r·chunks/N on; in an
    all-to-all chunks are N·N, and chunk s·N + t is what rank s has for rank t."""
    root: _Rank = 0
    """Root of broadcast, reduce, gather and scatter."""
    steps: Annotated[tuple[Annotated[tuple[MessageSpec, ...], LIST], ...], LIST, Field(min_length=1)]
    """For each step its messages. They carry what their senders had before the step; a rank begins a
    step when it has received and sent all of its own in the one before."""

    @classmethod
    def checked(cls, data: Mapping[str, Any]) -> Self:
        """Make one of plain data; raise `InputError` with everything that is wrong."""
        schedule: Self = validate(cls, data)
        return schedule

    @model_validator(mode="after")
    def _ranks_and_chunks_are_there(self) -> Self:
        if self.root >= self.ranks:
            raise FieldError(f"is {self.root}; the ranks are 0…{self.ranks - 1}", "root")
        for step, messages in enumerate(self.steps):
            for index, message in enumerate(messages):
                where = ("steps", step, index)
                for field in ("source", "target"):
                    if getattr(message, field) >= self.ranks:
                        message_text = f"is {getattr(message, field)}; the ranks are 0…{self.ranks - 1}"
                        raise FieldError(message_text, *where, field)
                if message.source == message.target:
                    raise FieldError(f"is {message.target}, which sends; name another rank", *where, "target")
                if max(message.chunks) >= self.chunks:
                    text = f"names chunk {max(message.chunks)}; the chunks are 0…{self.chunks - 1}"
                    raise FieldError(text, *where, "chunks")
        return self


def read_schedule(path: Path | str) -> ScheduleSpec:
    """Read a step list from a YAML or JSON file.

    Raises
    ------
    InputError
        With every problem of the file at once, each with its line.
    """
    document = yaml_io.read(path)
    schedule: ScheduleSpec = validate(
        ScheduleSpec, document.data, place=document.place, known=document.problems
    )
    return schedule
