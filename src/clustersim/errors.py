"""The one tree of errors, with exit codes and "did you mean".

Every error says where, what was got, what was expected and what to do.
Problems of one input file are collected and raised together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = [
    "CannotRunError",
    "CatalogError",
    "ClusterSimError",
    "InputError",
    "Problem",
    "did_you_mean",
]

PathPart = str | int


class ClusterSimError(Exception):
    """Base of everything that clustersim raises on purpose.

    `exit_code` is what the command line returns: 1 a check failed, 2 bad input,
    3 the simulated system cannot run.
    """

    exit_code = 2


class CatalogError(ClusterSimError):
    """A name that the catalogue does not hold."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in an input.

    `path` is the place in the document (`("workloads", 0, "model")`); `file`,
    `line` and `column` (both from 1) are filled in where the document was read
    from a file.
    """

    path: tuple[PathPart, ...]
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def at(self, file: str, line: int, column: int) -> Problem:
        """Return the same problem with its position in a file."""
        return replace(self, file=file, line=line, column=column)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return ": ".join(part for part in (place, format_path(self.path), self.message) if part)


class InputError(ClusterSimError):
    """A file, an option or an argument that cannot be understood: exit code 2."""

    exit_code = 2

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem((), problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class CannotRunError(InputError):
    """A well-formed scenario whose system cannot run (memory, reachability): exit code 3."""

    exit_code = 3


def format_path(path: Sequence[PathPart]) -> str:
    """Write a document path as people write it: `workloads[0].model`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(got: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or the known names where none is close (at most eight)."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    close = difflib.get_close_matches(got.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{lowered[close[0]]}'?"
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f" Known: {shown}."
