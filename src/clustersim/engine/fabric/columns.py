"""Tables of links and flows: columns of numbers, text or sequences, into arrays."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clustersim.engine.fabric.compiled import replay as compiled
from clustersim.errors import InputError, Problem, did_you_mean

__all__ = ["Columns", "FlowTable", "flow_table", "read_columns"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Columns = Mapping[str, Any]
"""Columns of equal length by name: a dict of lists or arrays, or a pandas frame."""


@dataclass(frozen=True)
class FlowTable:
    """Flows over links, as arrays."""

    capacities_bytes_per_s: FloatArray
    sizes_bytes: FloatArray
    begins_s: FloatArray
    """When the bytes of each flow begin to move: its start, and the latencies on its path."""
    links: IntArray
    """The links of all paths, one path after another."""
    ends: IntArray
    """Where in `links` each path ends."""

    def paths(self) -> list[tuple[int, ...]]:
        """Return the path of each flow."""
        links, ends = self.links.tolist(), self.ends.tolist()
        return [tuple(links[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]


def flow_table(links: Columns, flows: Columns, *, compiled_reader: bool) -> FlowTable:
    """Read and check the columns that `replay_flows` takes.

    Parameters
    ----------
    compiled_reader
        Read columns of text with the compiled kernel, which must be installed.

    Raises
    ------
    InputError
        For a missing column, or one with something that is no number, size, time or link.
    """
    _need(links, "links", ("bandwidth_Bps",))
    _need(flows, "flows", ("bytes", "start", "path"))
    capacities = _values(links, "links", "bandwidth_Bps", compiled_reader=compiled_reader)
    sizes = _values(flows, "flows", "bytes", compiled_reader=compiled_reader)
    starts = _values(flows, "flows", "start", compiled_reader=compiled_reader)
    path_links, ends = _paths(flows["path"], len(capacities), compiled_reader=compiled_reader)
    if not len(sizes) == len(starts) == len(ends):
        raise InputError(
            f"flows: got {len(sizes)} rows of bytes, {len(starts)} of start and {len(ends)} of path; "
            "give one each"
        )
    _refuse("flows", "bytes", sizes, sizes >= 0.0, "zero or more and finite")
    _refuse("flows", "start", starts, np.isfinite(starts), "seconds and finite")
    _refuse("links", "bandwidth_Bps", capacities, capacities >= 0.0, "zero or more bytes/s and finite")
    if "latency_s" in links:
        latencies = _values(links, "links", "latency_s", compiled_reader=compiled_reader)
        if latencies.any():
            rows = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
            starts = starts + np.bincount(rows, weights=latencies[path_links], minlength=len(ends))
    return FlowTable(capacities, sizes, starts, path_links, ends)


def read_columns(path: str | Path) -> dict[str, list[str]]:
    """Read a CSV file (`.gz` too) as columns of text, by the names in its first line."""
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        columns = list(zip(*rows, strict=True))
    return {name: list(columns[i]) if columns else [] for i, name in enumerate(header)}


def _need(table: Columns, what: str, names: Sequence[str]) -> None:
    problems = [
        Problem((what,), f"column '{name}' is missing.{did_you_mean(name, [str(key) for key in table])}")
        for name in names
        if name not in table
    ]
    if problems:
        raise InputError(problems)


def _values(table: Columns, what: str, name: str, *, compiled_reader: bool) -> FloatArray:
    """Return a column as floats."""
    column = _plain(table[name])
    try:
        if compiled_reader and _is_text(column):
            read = compiled.read_values(column)
            if read is not None:
                return read
        if isinstance(column, list):
            return np.fromiter(map(float, column), dtype=float, count=len(column))
        return np.array(column, dtype=float)
    except (TypeError, ValueError):
        raise _no_number(what, name, column, float, "a number") from None


def _paths(column: Any, links: int, *, compiled_reader: bool) -> tuple[IntArray, IntArray]:
    """Return the links of all paths, one path after another, and where each ends."""
    column = _plain(column)
    read = compiled.read_paths(column) if compiled_reader and _is_text(column) else None
    if read is None:
        try:
            paths = [_path(value) for value in column]
        except (TypeError, ValueError):
            raise _no_number("flows", "path", column, _path, "link indices") from None
        ends = np.cumsum(np.fromiter(map(len, paths), dtype=np.int64, count=len(paths)), dtype=np.int64)
        total = int(ends[-1]) if paths else 0
        read = np.fromiter(chain.from_iterable(paths), dtype=np.int64, count=total), ends
    flat, ends = read
    if len(flat) and not 0 <= flat.min() <= flat.max() < links:
        place = int(np.flatnonzero((flat < 0) | (flat >= links))[0])
        row = int(np.searchsorted(ends, place, side="right"))
        message = f"unknown link {flat[place]}; the table of links has rows 0 to {links - 1}"
        raise InputError(Problem(("flows", "path", row), message))
    return flat, ends


def _path(value: Any) -> Sequence[int]:
    if isinstance(value, str):
        return [int(word) for word in value.split()]
    return value if isinstance(value, tuple | list) else [int(link) for link in value]


def _plain(column: Any) -> Any:
    """Return a column as a list, or as an array if it is one of numbers."""
    if isinstance(column, list):
        return column
    array = np.asarray(column) if hasattr(column, "dtype") else None
    if array is not None and array.ndim == 1 and array.dtype.kind in "biuf":
        return array
    return list(column)


def _is_text(column: Any) -> bool:
    return isinstance(column, list) and bool(column) and isinstance(column[0], str)


def _no_number(
    what: str, name: str, column: Sequence[Any], convert: Callable[[Any], object], wanted: str
) -> InputError:
    """Say in which row of a column there is something else than numbers."""
    for row, value in enumerate(column):
        try:
            convert(value)
        except (TypeError, ValueError):
            return InputError(Problem((what, name, row), f"must be {wanted}, got {value!r}"))
    return InputError(Problem((what, name), f"must be {wanted}"))


def _refuse(what: str, name: str, values: FloatArray, good: npt.NDArray[np.bool_], wanted: str) -> None:
    """Refuse a column in which not all values are good (infinite ones never are)."""
    bad = np.flatnonzero(~(good & (values < np.inf)))
    if len(bad):
        row = int(bad[0])
        raise InputError(Problem((what, name, row), f"must be {wanted}, got {float(values[row])!r}"))
