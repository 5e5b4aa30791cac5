"""What every part of a scenario has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from clustersim.errors import PathPart

__all__ = ["LIST", "FieldError", "FileReference", "InputPath", "ModelName", "SpecModel"]

LIST = Field(strict=False)
"""Put on each tuple field: files and Python code give it as a list."""


class SpecModel(BaseModel):
    """A frozen record that refuses unknown fields and documents each one.

    Field docstrings become the descriptions of the JSON Schema and of the
    scenario reference. Nothing is converted silently: `"3"` is no number and `on` is
    no boolean.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )


class FieldError(ValueError):
    """Raised by a model's validator: what is wrong, and with which of its fields.

    `path` leads from the model to the field.
    """

    def __init__(self, message: str, *path: PathPart) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class FileReference:
    """Marks a text field that names an input file.

    With `in_folder` set the text may be a name of the catalogue as well: it is a file
    where it ends as that file does (or in one of `suffixes`), or is a folder that holds such a file.
    With `numbered` set it is what the names of several files begin with, before `.0` and that ending, or
    the folder that holds them. With `folder` set it is a folder, of which the files with these endings count.
    """

    in_folder: str = ""
    suffixes: tuple[str, ...] = ()
    numbered: str = ""
    folder: tuple[str, ...] = ()


InputPath = Annotated[str, FileReference()]
"""Path of an input file, relative to the scenario file."""

ModelName = Annotated[str, FileReference("config.json", suffixes=(".yaml", ".yml", ".csv"))]
"""Name of a model in the catalogue, or path of a model file or a Hugging Face `config.json`."""
