"""XML elements that know their line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from clustersim.errors import InputError, Problem

__all__ = ["Element", "refuse"]


@dataclass(frozen=True)
class Element:
    """One element of an XML file, with where it begins."""

    tag: str
    attributes: Mapping[str, str]
    file: str
    line: int
    column: int
    children: list[Element] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, *, label: str) -> Element:
        """Return the root element of a file.

        Raises
        ------
        InputError
            If the file cannot be read or is no XML.
        """
        parser = expat.ParserCreate()
        roots: list[Element] = []
        open_elements: list[Element] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            place = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
            element = cls(tag, attributes, label, *place)
            (open_elements[-1].children if open_elements else roots).append(element)
            open_elements.append(element)

        parser.StartElementHandler = start
        parser.EndElementHandler = lambda _: open_elements.pop()
        try:
            parser.Parse(path.read_bytes(), True)
        except OSError as error:
            raise InputError(f"cannot read {label}: {error.strerror or error}") from None
        except expat.ExpatError as error:
            message = f"not readable as XML: {expat.ErrorString(error.code)}"
            raise InputError(Problem((), message, label, error.lineno, error.offset + 1)) from None
        return roots[0]

    def walk(self) -> Iterator[Element]:
        """Yield this element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def text(self, name: str) -> str:
        """Return an attribute, or nothing where it is not there."""
        return self.attributes.get(name, "").strip()

    def number(self, name: str, default: float) -> float:
        """Return an attribute as a number; refuse what is none."""
        text = self.text(name)
        try:
            return float(text) if text else default
        except ValueError:
            refuse(self, f'{name}="{text}" is no number')

    def whole(self, name: str, default: int) -> int:
        """Return an attribute as a whole number; refuse what is none."""
        value = float(self.number(name, default))
        if not value.is_integer():
            refuse(self, f'{name}="{self.text(name)}" is no whole number')
        return int(value)


def refuse(element: Element, message: str) -> NoReturn:
    """Raise an `InputError` at an element.

    Raises
    ------
    InputError
        Always.
    """
    shown = f"<{element.tag}>: {message}"
    raise InputError(Problem((), shown, element.file, element.line, element.column))
