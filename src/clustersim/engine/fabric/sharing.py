"""What the clock needs of whoever shares the links: one small interface, two implementations.

`clockwork.Clockwork` knows simpy and no rates; a `Sharing` knows rates and no simpy. The
interpreted one is `interpreted.Interpreted`, the compiled one lies in `compiled/`; `bands.Bands`
puts several on top of each other, one per strict priority.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from clustersim.engine.fabric.flow import Flow
    from clustersim.engine.fabric.route_set import RouteSet

__all__ = ["BOUND", "FULL", "Sharing"]

BOUND = -1
"""Stands for "its own rate bound" where otherwise the index of the holding link stands."""
FULL = 1e-9
"""A link is saturated where at most this share of its capacity is left."""


class Sharing(Protocol):
    """The flows alive, their max-min fair rates, and the time of the next completion.

    All changes of one instant (`start`, `finish`, `set_capacity`, `register`) are marked as they
    come and solved together by `solve`, after everything else of that instant. A change that
    alters nobody's rate but its own may be dealt with at once; then nothing is `pending`.

    Rates, sizes and bounds are those of the variable that is shared: x over the weight of the
    flow's traffic class. The coefficient of a route set on a link, `RouteSet.coefficients`, is
    multiplied by that weight in turn, so an implementation never sees the weight.

    What moved is written to `LinkMeters.log`, four floats per entry: route set index, from_s,
    to_s, bytes. The index i is written as -1 - i for a span in which the class ran at the most that
    the narrowest of its links can carry: all links of the route set that are as narrow (to `FULL`)
    count as saturated for the span. An implementation that keeps saturated time in another way
    writes i only, and returns the time from `saturation`.
    """

    pending: bool
    """Whether changes of this instant wait for `solve`."""
    next_s: float
    """Time of the next completion at the present rates; infinite where none is to come. Not to be
    relied on while `pending`."""
    changed: list[RouteSet] | None
    """None: nobody asks. Otherwise every route set whose total rate changed is appended, by `start`,
    `finish` and `solve`; whoever reads it empties it."""

    @property
    def solves(self) -> int:
        """How often rates were computed, at most once per instant."""

    @property
    def flows_touched(self) -> int:
        """How many classes' rates were computed, over all solves."""

    def register(self, route_set: RouteSet, now_s: float) -> None:
        """Take up a new route set, and tell those that it ends the privacy of."""

    def measure(self, route_set: RouteSet) -> None:
        """Bring `narrowest` and `narrowest_link` of a route set up to date with the capacities."""

    def start(self, flow: Flow, route_set: RouteSet, size_bytes: float, bound: float, now_s: float) -> None:
        """Let a flow begin; `size_bytes` and `bound` (bytes/s, or infinite) are positive."""

    def set_capacity(self, link: int, bytes_per_s: float, now_s: float) -> None:
        """Change a link from now on."""

    def solve(self, now_s: float) -> None:
        """Find the rates after all changes of this instant; then nothing is `pending`."""

    def finish(self, due_s: float, now_s: float) -> Sequence[Flow]:
        """End the flows that are done by `due_s` (at least now) and return them in order of starting.

        Each is ended by `Flow.end`. Empty where `next_s` is later than `due_s`.
        """

    def rate(self, flow: Flow) -> float:
        """Return the present rate of a flow that has not ended."""

    def held_s(self, flow: Flow, now_s: float) -> dict[int, float]:
        """Return the seconds by holding link (or `BOUND`) of a flow that has not ended, since it began."""

    def load(self, link: int) -> float:
        """Return the bytes/s that cross a link, as of the last solve."""

    def used(self, link: int) -> bool:
        """Return whether flows that have not ended use the link."""

    def settle(self, now_s: float) -> None:
        """Write to the log what has moved up to now."""

    def saturation(self, now_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return seconds saturated, first and last saturated time of every link up to `now_s`.

        Without the spans that the log tells of. First is infinite and last -infinite where never.
        """
