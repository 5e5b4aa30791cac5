"""Request traces of Mooncake: lines of JSON that say which prompts begin alike."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clustersim.errors import InputError, Problem, did_you_mean
from clustersim.workloads.inference.demand.request_set import RequestSet

__all__ = ["HASH_TOKENS", "read_mooncake"]

HASH_TOKENS = 512
"""Tokens that each id of `hash_ids` stands for.
**Source:** Qin et al., "Mooncake", FAST 2025, section 4 and the traces' description."""

_FIELDS = ("timestamp", "input_length", "output_length", "hash_ids")
_MOST_PROBLEMS = 10


class _Line(NamedTuple):
    """One request as a line has it."""

    timestamp_ms: float
    prompt: int
    output: int
    hashes: tuple[int, ...]


def read_mooncake(path: Path) -> RequestSet:
    """Read a trace in Mooncake's format (`.jsonl`, or compressed as `.jsonl.gz`).

    Each line is an object with `timestamp` (milliseconds), `input_length`, `output_length` and `hash_ids`:
    one id per 512 tokens of the prompt, equal where all tokens up to its end are. Times are counted
    from the earliest; lines need not be sorted; further fields and empty lines are ignored. The id of a
    part of less than 512 tokens at a prompt's end is left out: only a repeated prompt could use it. An
    output of 0 tokens is taken as 1.

    Raises
    ------
    InputError
        If the file cannot be read or has no requests, and for broken lines, up to ten of them at
        once, each with its number.

    **Checked by:** tests/workloads/test_mooncake.py.
    """
    try:
        with _open(path) as file:
            lines = list(_parsed(path, file))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}; give the path of a trace"
        ) from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is not a text file of JSON lines, or is damaged: {error}") from None
    if not lines:
        raise InputError(f"{path}: there are no requests in it; each line is one")
    lines.sort(key=lambda line: line.timestamp_ms)
    arrival_s = np.array([line.timestamp_ms for line in lines]) / 1e3
    return RequestSet(
        arrival_s=arrival_s - arrival_s[0],
        prompt=np.array([line.prompt for line in lines], dtype=np.int64),
        output=np.array([line.output for line in lines], dtype=np.int64),
        hashes=[line.hashes for line in lines],
        hash_tokens=HASH_TOKENS,
    )


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _parsed(path: Path, file: io.TextIOBase) -> Iterator[_Line]:
    problems: list[Problem] = []
    for number, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            line = _line(text)
        except ValueError as error:
            problems.append(Problem((), str(error), file=str(path), line=number))
            if len(problems) == _MOST_PROBLEMS:
                break
            continue
        yield line
    if problems:
        raise InputError(problems)


def _line(text: str) -> _Line:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError(f"is {text.strip()[:40]}; an object with {', '.join(_FIELDS)} is expected")
    missing = [field for field in _FIELDS if field not in row]
    if missing:
        raise ValueError(f"has no '{missing[0]}'; it has {', '.join(row)}.{did_you_mean(missing[0], row)}")
    prompt = _count(row["input_length"], "input_length", least=1)
    ids = row["hash_ids"]
    if not isinstance(ids, list) or not all(_is_whole(one) for one in ids):
        raise ValueError("hash_ids is no list of whole numbers")
    return _Line(
        _time(row["timestamp"]),
        prompt,
        max(1, _count(row["output_length"], "output_length", least=0)),
        tuple(ids[: prompt // HASH_TOKENS]),
    )


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"timestamp is {value!r}; milliseconds are expected, zero or more")
    return float(value)


def _count(value: Any, field: str, *, least: int) -> int:
    if not _is_whole(value) or value < least:
        raise ValueError(f"{field} is {value!r}; a whole number of tokens is expected, {least} or more")
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
