"""What held a flow back, packed: few flows are ever asked, and packing costs less than a dictionary."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

__all__ = ["pack", "seconds_between", "unpack"]


def pack(held_s: Mapping[int, float]) -> bytes:
    """Return seconds by link as one link and its seconds after the other."""
    return array("d", [number for pair in held_s.items() for number in pair]).tobytes()


def unpack(packed: bytes) -> dict[int, float]:
    """Return the seconds by link; those of a link that occurs again are added."""
    numbers = array("d", packed)
    held_s: dict[int, float] = {}
    for link, seconds in zip(numbers[::2], numbers[1::2], strict=True):
        held_s[int(link)] = held_s.get(int(link), 0.0) + seconds
    return held_s


def seconds_between(before: bytes | None, after: bytes, life_s: float) -> dict[int, float]:
    """Return what was added by link since a flow began (`before`; None: all); it adds up to its life."""
    held_s = unpack(after)
    if before is None:
        return held_s
    known = unpack(before)
    seconds = {link: held_s.get(link, 0.0) - known.get(link, 0.0) for link in {**known, **held_s}}
    seconds = {link: value for link, value in seconds.items() if value > 0.0}
    if seconds:
        # Differences of long sums round; the longest share takes what is missing.
        longest = max(seconds, key=seconds.__getitem__)
        seconds[longest] += life_s - sum(seconds.values())
    return seconds
