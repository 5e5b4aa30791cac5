"""Which tool wrote a file, and what it says."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from clustersim.errors import InputError
from clustersim.study.validation.measured.benchmark_json import is_benchmark, read_benchmark
from clustersim.study.validation.measured.genai_perf import is_genai_perf, read_genai_perf
from clustersim.study.validation.measured.measured_run import MeasuredRun
from clustersim.study.validation.measured.request_csv import MEASURED_COLUMNS, read_request_csv

__all__ = ["read_run"]

_KNOWN = (
    "results of vLLM's benchmark_serving (JSON), SGLang's bench_serving (JSONL), GenAI-Perf (CSV), and CSV "
    "tables of requests with columns such as arrived_at, prompt, output, ttft_s, e2e_s are understood"
)


def read_run(path: Path, *, run: int | None = None) -> MeasuredRun:
    """Read a file of measurements; which tool wrote it is seen from what is in it.

    Parameters
    ----------
    run
        Which line of a JSONL file, from 1. Default: its only one.

    Raises
    ------
    InputError
        If the file cannot be read or is in none of the known formats, and for several runs of
        which none is chosen.
    """
    if path.name.endswith((".csv", ".csv.gz")):
        return _read_csv(path)
    data = _read_json(path, run)
    if not is_benchmark(data):
        keys = ", ".join(list(data)[:6]) if isinstance(data, dict) else type(data).__name__
        raise InputError(f"{path}: is in no known format (it has: {keys}); {_KNOWN}")
    return read_benchmark(data, str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text file; {_KNOWN}") from None


def _read_json(path: Path, run: int | None) -> Any:
    text = _text(path)
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and run is None:
        raise InputError(f"{path}: holds {len(lines)} runs; choose one with --run, from 1")
    number = run or 1
    if not 1 <= number <= len(lines):
        raise InputError(f"{path}: has {len(lines)} lines; there is no run {number}")
    try:
        return json.loads(lines[number - 1])
    except ValueError as error:
        raise InputError(f"{path}:{number}: is no JSON: {error}; {_KNOWN}") from None


def _read_csv(path: Path) -> MeasuredRun:
    if path.suffix == ".gz":
        return read_request_csv(path)
    lines = _text(path).splitlines()
    header = next(csv.reader(lines[:1]), [])
    if is_genai_perf(header):
        return read_genai_perf(lines, str(path))
    names = {name.strip().casefold() for name in header}
    if not any(names & set(aliases) for aliases in MEASURED_COLUMNS.values()):
        raise InputError(f"{path}: no column is a latency (it has: {', '.join(header)}); {_KNOWN}")
    return read_request_csv(path)
