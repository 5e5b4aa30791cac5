"""Where each part of a document stands in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from clustersim.errors import PathPart, Problem

__all__ = ["NOWHERE", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """One value of a document: its position and the places of what it holds.

    A field stands where its key begins, an item of a list where the item begins.

    Parameters
    ----------
    file, line, column
        Line and column count from 1; all three are None for a value that no file holds
        (one that `Scenario.with_` or `--set` put in).
    children
        Places by field name or list index.
    """

    file: str | None = None
    line: int | None = None
    column: int | None = None
    children: Mapping[PathPart, Place] = field(default_factory=dict)

    def find(self, path: Sequence[PathPart]) -> Place:
        """Return the place of `path`, or of the innermost thing around it that has one."""
        here = self
        for part in path:
            if here.line is None or part not in here.children:
                break
            here = here.children[part]
        return here

    def locate(self, problem: Problem) -> Problem:
        """Return `problem` with the position of its path, if it has none yet and one is known."""
        place = self.find(problem.path)
        if problem.file is not None or place.file is None or place.line is None or place.column is None:
            return problem
        return problem.at(place.file, place.line, place.column)

    def put(self, path: Sequence[PathPart], place: Place) -> Place:
        """Return a copy in which `path` stands at `place`."""
        if not path:
            return place
        child = self.children.get(path[0], Place(self.file, self.line, self.column))
        return replace(self, children={**self.children, path[0]: child.put(path[1:], place)})


NOWHERE = Place()
"""The place of what no file holds."""
