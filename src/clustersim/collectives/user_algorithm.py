"""Algorithms of a user's own, from Python or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from clustersim.collectives.group import Group
from clustersim.collectives.msccl import MscclProgram
from clustersim.collectives.plan import Plan
from clustersim.collectives.step_list import StepList
from clustersim.spec.schedule import read_schedule

__all__ = ["UserAlgorithm", "read_algorithm"]


class UserAlgorithm(Protocol):
    """What `Communicator` asks of an algorithm of one's own."""

    @property
    def kind(self) -> str:
        """Kind of collective that it does, with its root: `all_reduce`, `broadcast:0`."""

    def plans(self, group: Group) -> tuple[Plan, ...]:
        """Return the plans on a group; raise `InputError` where there is none."""


def read_algorithm(path: Path | str) -> UserAlgorithm:
    """Read an algorithm: MSCCL's XML where the file ends in `.xml`, else a step list in YAML or JSON.

    Raises
    ------
    InputError
        For a file that does not hold one, and an algorithm that does not do what it says.
    """
    if Path(path).suffix.lower() == ".xml":
        return MscclProgram.read(path)
    steps = StepList.of(read_schedule(path))
    steps.check()
    return steps
