"""Request traces from CSV files: when requests arrived and how long they were."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["RequestSet", "read_trace"]

_ALIASES = {
    "arrival": ("timestamp", "arrived_at", "arrival_time", "arrival_s", "arrival", "time"),
    "prompt": (
        *("contexttokens", "prompt", "prompt_tokens", "num_prefill_tokens"),
        *("input_tokens", "input_length", "prompt_length", "request tokens"),
    ),
    "output": (
        *("generatedtokens", "output", "output_tokens", "num_decode_tokens"),
        *("output_length", "completion_tokens", "response tokens"),
    ),
}
_MOST_PROBLEMS = 10
_SECONDS_PER_DAY = 86_400


class RequestSet(NamedTuple):
    """Requests in order of arrival, as columns of equal length."""

    arrival_s: np.ndarray
    """Seconds after the first request."""
    prompt: np.ndarray
    output: np.ndarray


def read_trace(path: Path) -> RequestSet:
    """Read a trace of requests.

    The file is CSV, or CSV compressed with gzip, with a header. Columns, in any order and by
    any of the usual names: arrival time (seconds, or a date and time such as
    `2023-11-16 18:15:46.6805900`), prompt tokens, output tokens. Further columns, empty lines
    and lines that begin with `#` are ignored. Times are counted from the earliest; lines need
    not be sorted. A request of 0 output tokens is taken as 1: its prompt is computed, and that
    brings a first token.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column or has no requests, and for broken lines, up
        to ten of them at once, each with its number.

    Checked by: tests/workloads/test_inference_traces.py.
    """
    try:
        with _open(path) as file:
            return _read(path, _lines(csv.reader(file)))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}; give the path of a CSV file"
        ) from None
    except (UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV text file, or is damaged: {error}") from None


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(rows: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers, without empty lines and comments."""
    return ((line, row) for line, row in enumerate(rows, start=1) if row and not row[0].startswith("#"))


def _read(path: Path, rows: Iterator[tuple[int, list[str]]]) -> RequestSet:
    places = _places(path, *next(rows, (1, [])))
    arrival_s: list[float] = []
    lengths: list[tuple[int, int]] = []
    problems: list[Problem] = []
    seconds = _clock()
    for line, row in rows:
        try:
            time_s, prompt, output = _request(row, places, seconds)
        except ValueError as error:
            problems.append(Problem((), str(error), file=str(path), line=line))
            if len(problems) == _MOST_PROBLEMS:
                break
            continue
        arrival_s.append(time_s)
        lengths.append((prompt, output))
    if problems:
        raise InputError(problems)
    if not lengths:
        raise InputError(f"{path}: there are no requests in it; each line after the header is one")
    return _sorted(np.asarray(arrival_s), np.asarray(lengths))


def _places(path: Path, line: int, header: Sequence[str]) -> tuple[int, int, int]:
    """Column numbers of arrival, prompt and output."""
    names = [name.strip().casefold() for name in header]
    if not any(names):
        raise InputError(
            f"{path}: is empty; its first line should name the columns, e.g. 'arrived_at,prompt,output'"
        )
    found: list[int] = []
    problems: list[Problem] = []
    for what, aliases in _ALIASES.items():
        places = [names.index(alias) for alias in aliases if alias in names]
        found += places[:1]
        if not places:
            hint = f"; it has {', '.join(header)}.{_nearest(names, aliases)}"
            problems.append(Problem((), f"no column for the {what}{hint}", file=str(path), line=line))
    if problems:
        raise InputError(problems)
    return found[0], found[1], found[2]


def _nearest(names: Sequence[str], aliases: Sequence[str]) -> str:
    hints = (did_you_mean(name, aliases) for name in names)
    return next((hint for hint in hints if "mean" in hint), f" Known names: {', '.join(aliases)}.")


def _request(
    row: Sequence[str], places: tuple[int, int, int], seconds: Callable[[str], float]
) -> tuple[float, int, int]:
    if len(row) <= max(places):
        raise ValueError(f"{len(row)} columns, the header has more")
    arrival, prompt, output = (row[place] for place in places)
    return seconds(arrival), _tokens(prompt, "prompt", least=1), max(1, _tokens(output, "output", least=0))


def _tokens(text: str, what: str, *, least: int) -> int:
    try:
        count = int(text)
    except ValueError:
        raise ValueError(f"{what} is '{text}'; a whole number of tokens is expected") from None
    if count < least:
        raise ValueError(f"{what} is {count} tokens; at least {least} is expected")
    return count


def _clock() -> Callable[[str], float]:
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


def _sorted(arrival_s: np.ndarray, lengths: np.ndarray) -> RequestSet:
    order = np.argsort(arrival_s, kind="stable")
    return RequestSet(arrival_s[order] - arrival_s[order[0]], lengths[order, 0], lengths[order, 1])
