"""Plain tables of the summaries, drawn by rich."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["WIDTH", "Column", "Drawn", "add_row", "grid", "inset", "line", "to_text"]

Column = tuple[str, Literal["left", "right"]]
"""Title and side of a column."""

WIDTH = 100
"""Columns of the plain text."""

_INDENT = (0, 0, 0, 2)


class Drawn(str):
    """Text that a prompt or a notebook shows as it is, lines and all, when it is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def to_text(content: RenderableType, *, width: int = WIDTH) -> Drawn:
    """Draw what rich can draw into plain text without trailing blanks."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(content)
    return Drawn("".join(f"{text.rstrip()}\n" for text in buffer.getvalue().splitlines()))


def grid(*columns: Column, unbroken: int = 0) -> Table:
    """Return an empty table in the style of all summaries.

    Numbers, and the first `unbroken` columns, are never broken over lines.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for number, (title, side) in enumerate(columns):
        whole = side == "right" or number < unbroken
        table.add_column(Text(title), justify=side, overflow="fold", no_wrap=whole)
    return table


def add_row(table: Table, *cells: str, style: str = "") -> None:
    """Append a row of plain text, in which brackets mean nothing."""
    from rich.text import Text

    table.add_row(*(Text(cell) for cell in cells), style=style)


def inset(content: RenderableType) -> RenderableType:
    """Move content two columns to the right."""
    from rich.padding import Padding

    return Padding(content, _INDENT, expand=False)


def line(text: str, *, style: str = "") -> RenderableType:
    """Return a line of text, inset."""
    from rich.text import Text

    return inset(Text(text, style=style))
