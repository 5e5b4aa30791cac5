"""Request traces from CSV files: when requests arrived and how long they were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clustersim.workloads.inference.demand.request_set import RequestSet
from clustersim.workloads.serving.csv_rows import OUTPUT, PROMPT, read_rows, tokens
from clustersim.workloads.serving.csv_times import ARRIVAL, time_reader

__all__ = ["read_lengths", "read_trace"]

_SESSION = ("session id", "session_id", "session", "conversation_id")


def read_trace(path: Path, *, only: Sequence[tuple[str, str]] = ()) -> RequestSet:
    """Read a trace of requests.

    The file is CSV, or CSV compressed with gzip, with a header. Columns, in any order and by
    any of the usual names: arrival time (seconds, or a date and time such as
    `2023-11-16 18:15:46.6805900`), prompt tokens, output tokens; a session, where there is one.
    Times are counted from the earliest; lines need not be sorted. A request of 0 output tokens is
    taken as 1: its prompt is computed, and that brings a first token.

    Parameters
    ----------
    only
        Columns and values: rows that differ are left out.

    Raises
    ------
    InputError
        See `csv_rows.read_rows`.

    Checked by: tests/workloads/test_inference_traces.py.
    """
    seconds = time_reader()
    sessions: dict[str, int] = {}

    def parse(row: Sequence[str]) -> tuple[float, int, int, int]:
        arrival, prompt, output, session = row
        place = sessions.setdefault(session, len(sessions)) if session else -1
        return (seconds(arrival), *_lengths((prompt, output)), place)

    columns = {"arrival": ARRIVAL, "prompt": PROMPT, "output": OUTPUT}
    rows = read_rows(path, columns, parse, optional={"session": _SESSION}, only=only)
    arrival_s = np.fromiter((row[0] for row in rows), float, len(rows))
    numbers = np.array([row[1:] for row in rows], dtype=np.int64)
    order = np.argsort(arrival_s, kind="stable")
    prompt, output, session = numbers[order].T
    since_first_s = arrival_s[order] - arrival_s[order[0]]
    return RequestSet(since_first_s, prompt, output, session if sessions else None)


def read_lengths(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read prompt and output tokens of requests from a file that need not say when they arrived.

    The columns are those of a trace; a file of Vidur's lengths has them by their names there.

    Raises
    ------
    InputError
        See `csv_rows.read_rows`.

    Checked by: tests/workloads/test_inference_traces.py.
    """
    prompt, output = np.array(read_rows(path, {"prompt": PROMPT, "output": OUTPUT}, _lengths)).T
    return prompt, output


def _lengths(row: Sequence[str]) -> tuple[int, int]:
    prompt, output = row
    return tokens(prompt, "prompt", least=1), max(1, tokens(output, "output", least=0))
