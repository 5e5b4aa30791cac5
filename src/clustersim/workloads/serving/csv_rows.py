"""Rows of CSV files whose columns have many names: traces of requests and tables of lengths."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["OUTPUT", "PROMPT", "read_rows", "tokens"]

Parsed = TypeVar("Parsed")

PROMPT = (
    *("contexttokens", "prompt", "prompt_tokens", "num_prefill_tokens", "num_prompt_tokens"),
    *("input_tokens", "input_length", "prompt_length", "prompt_len", "input_len", "request tokens"),
)
"""Names of the column of prompt tokens, in lower case."""
OUTPUT = (
    *("generatedtokens", "output", "output_tokens", "num_decode_tokens", "num_output_tokens"),
    *("output_length", "output_len", "completion_tokens", "response tokens"),
)
"""Names of the column of output tokens, in lower case."""
_MOST_PROBLEMS = 10


def read_rows(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    parse: Callable[[Sequence[str]], Parsed],
    *,
    optional: Mapping[str, Sequence[str]] | None = None,
    only: Sequence[tuple[str, str]] = (),
) -> list[Parsed]:
    """Read a CSV file, or one compressed with gzip, with a header.

    Further columns, empty lines and lines that begin with `#` are ignored.

    Parameters
    ----------
    columns, optional
        Names that a column may have, in lower case, by what it holds.
    parse
        Takes the fields of a row in the order of `columns` and `optional` (empty text for a column that
        is not there); raises `ValueError` for a broken one.
    only
        Rows count where these columns hold these values.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column or has no rows, and for broken lines, up to
        ten of them at once, each with its number.

    Checked by: tests/workloads/test_inference_traces.py.
    """
    try:
        with _open(path) as file:
            return _read(path, _lines(csv.reader(file)), columns, parse, optional or {}, only)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}; give the path of a CSV file"
        ) from None
    except (UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV text file, or is damaged: {error}") from None


def tokens(text: str, what: str, *, least: int) -> int:
    """Return a number of tokens; raise `ValueError` where it is none, or below `least`."""
    try:
        count = int(text)
    except ValueError:
        raise ValueError(f"{what} is '{text}'; a whole number of tokens is expected") from None
    if count < least:
        raise ValueError(f"{what} is {count} tokens; at least {least} is expected")
    return count


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(rows: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers, without empty lines and comments."""
    return ((line, row) for line, row in enumerate(rows, start=1) if row and not row[0].startswith("#"))


def _read(
    path: Path,
    rows: Iterator[tuple[int, list[str]]],
    columns: Mapping[str, Sequence[str]],
    parse: Callable[[Sequence[str]], Parsed],
    optional: Mapping[str, Sequence[str]],
    only: Sequence[tuple[str, str]],
) -> list[Parsed]:
    line, header = next(rows, (1, []))
    places = _places(path, line, header, columns, optional)
    wanted = _filters(path, line, header, only)
    widest = max(*places, *(place for place, _ in wanted), 0)
    found: list[Parsed] = []
    problems: list[Problem] = []
    for line, row in rows:
        try:
            if len(row) <= widest:
                raise ValueError(f"{len(row)} columns, the header has more")
            if all(row[place].strip() == value for place, value in wanted):
                found.append(parse([row[place] if place >= 0 else "" for place in places]))
        except ValueError as error:
            problems.append(Problem((), str(error), file=str(path), line=line))
            if len(problems) == _MOST_PROBLEMS:
                break
    if problems:
        raise InputError(problems)
    if not found:
        which = " that the filter lets through" if only else ""
        raise InputError(f"{path}: there are no requests in it{which}; each line after the header is one")
    return found


def _places(
    path: Path,
    line: int,
    header: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    optional: Mapping[str, Sequence[str]],
) -> list[int]:
    """Column numbers, −1 for an optional column that is not there."""
    names = [name.strip().casefold() for name in header]
    if not any(names):
        raise InputError(
            f"{path}: is empty; its first line should name the columns, e.g. 'arrived_at,prompt,output'"
        )
    problems = [
        Problem(
            (),
            f"no column for the {what}; it has {', '.join(header)}.{_nearest(names, aliases)}",
            file=str(path),
            line=line,
        )
        for what, aliases in columns.items()
        if not any(alias in names for alias in aliases)
    ]
    if problems:
        raise InputError(problems)
    return [
        next((names.index(alias) for alias in aliases if alias in names), -1)
        for aliases in (*columns.values(), *optional.values())
    ]


def _filters(
    path: Path, line: int, header: Sequence[str], only: Sequence[tuple[str, str]]
) -> list[tuple[int, str]]:
    names = {name.strip().casefold(): place for place, name in enumerate(header)}
    for column, _ in only:
        if column.casefold() not in names:
            hint = did_you_mean(column, [name.strip() for name in header])
            raise InputError(Problem((), f"no column '{column}'.{hint}", file=str(path), line=line))
    return [(names[column.casefold()], value) for column, value in only]


def _nearest(names: Sequence[str], aliases: Sequence[str]) -> str:
    hints = (did_you_mean(name, aliases) for name in names)
    return next((hint for hint in hints if "mean" in hint), f" Known names: {', '.join(aliases)}.")
