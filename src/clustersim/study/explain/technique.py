"""A technique: a change to a workload that can be simulated, with it and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Change", "NotHere", "Technique"]


@dataclass(frozen=True)
class Change:
    """What to change in a workload to have a technique on or off.

    Parameters
    ----------
    fields
        Value by dotted path within the workload.
    words
        What that is: `bf16 in place of tf32`.
    turns_on
        False where the technique is on already, and the change turns it off.
    """

    fields: Mapping[str, Any]
    words: str
    turns_on: bool = True


@dataclass(frozen=True)
class NotHere:
    """Why a technique cannot be tried on a workload."""

    reason: str


@dataclass(frozen=True)
class Technique:
    """One technique for one kind of workload.

    Parameters
    ----------
    name
        As the field calls it.
    change
        Takes a workload's spec and the accelerator of its GPUs.
    same_answers
        Whether the model answers, or learns, the same with it. Where not, quality has to be measured on the
        model itself; no simulation says it.
    """

    name: str
    change: Callable[[Any, Any], Change | NotHere]
    same_answers: bool
