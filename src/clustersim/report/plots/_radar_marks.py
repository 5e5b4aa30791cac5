"""How polygons of a radar are told apart: colour, and in print line and mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clustersim.report.style import BLUE, CYAN, GREEN, PURPLE, RED, YELLOW

if TYPE_CHECKING:
    from clustersim.study.radar import Profile

__all__ = ["Look", "looks"]


class Look(NamedTuple):
    """Colour, line and mark of one workload, the same in every picture of a radar."""

    color: Any
    line: Any
    mark: str


_LOOKS = (
    Look(BLUE, "-", "o"),
    Look(RED, (0, (6, 2)), "s"),
    Look(GREEN, (0, (2, 1.4)), "^"),
    Look(PURPLE, (0, (7, 2, 1.5, 2)), "D"),
    Look("#997700", (0, (1, 1.2)), "v"),
    Look(CYAN, (0, (10, 3)), "P"),
    Look(YELLOW, (0, (5, 1.5, 1, 1.5, 1, 1.5)), "X"),
)
"""Line and mark alone tell them apart in grey; the colours are of all kinds of colour vision."""


def looks(profiles: Sequence[Profile]) -> dict[str, Look]:
    """Return the look of each workload by its label; they repeat after seven."""
    return {profile.label: _LOOKS[place % len(_LOOKS)] for place, profile in enumerate(profiles)}
