"""Arrival times in trace files: seconds, or dates and times."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date

__all__ = ["ARRIVAL", "time_reader"]

ARRIVAL = ("timestamp", "arrived_at", "arrival_time", "arrival_s", "arrival", "time")
"""Names of the column of arrival times, in lower case."""
_SECONDS_PER_DAY = 86_400


def time_reader() -> Callable[[str], float]:
    """Return a reader of times; dates are counted from the first one read, to keep all digits."""
    days: dict[str, int] = {}

    def seconds(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            return _date_seconds(text, days)
        if not math.isfinite(value):
            raise ValueError(f"arrival is '{text}'; a finite number of seconds is expected")
        return value

    return seconds


def _date_seconds(text: str, days: dict[str, int]) -> float:
    day, _, clock = text.strip().replace("T", " ").removesuffix("Z").removesuffix("+00:00").partition(" ")
    try:
        if day not in days:
            days[day] = date.fromisoformat(day).toordinal()
        hours, minutes, rest = clock.split(":")
        in_day = int(hours) * 3600 + int(minutes) * 60 + float(rest)
        in_range = int(hours) < 24 and int(minutes) < 60 and 0 <= float(rest) < 61
    except ValueError:
        in_range = False
    if not in_range:
        raise ValueError(
            f"arrival is '{text}'; seconds, or a UTC date and time like '2023-11-16 18:15:46.68' is expected"
        )
    first = next(iter(days.values()))
    return (days[day] - first) * _SECONDS_PER_DAY + in_day
