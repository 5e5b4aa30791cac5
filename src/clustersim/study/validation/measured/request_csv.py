"""A table of one's own: a row per request with its time, lengths and latencies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clustersim.study.validation.measured.measured_run import MeasuredRun
from clustersim.workloads.serving.csv_rows import OUTPUT, PROMPT, read_rows, tokens
from clustersim.workloads.serving.csv_times import ARRIVAL, time_reader

__all__ = ["MEASURED_COLUMNS", "read_request_csv"]

MEASURED_COLUMNS = {
    "ttft_s": ("ttft_s", "ttft", "time_to_first_token_s"),
    "ttft_ms": ("ttft_ms", "time_to_first_token_ms"),
    "tpot_s": ("tpot_s", "tpot", "time_per_output_token_s"),
    "tpot_ms": ("tpot_ms", "time_per_output_token_ms"),
    "e2e_s": ("e2e_s", "e2e", "latency_s", "request_latency_s"),
    "e2e_ms": ("e2e_ms", "latency_ms", "request_latency_ms"),
}
"""Names of the columns of latencies, in lower case, by what they hold and in which unit."""


def read_request_csv(path: Path) -> MeasuredRun:
    """Read a trace of requests (see `read_trace`) that has latencies, too; empty cells are left out.

    A time per output token that is not given follows from the others: (e2e − ttft) / (output − 1).

    Raises
    ------
    InputError
        See `csv_rows.read_rows`.
    """
    seconds = time_reader()

    def parse(row: Sequence[str]) -> list[float]:
        arrival, prompt, output, *latencies = row
        measured = [float(cell) if cell.strip() else np.nan for cell in latencies]
        lengths = (tokens(prompt, "prompt", least=1), tokens(output, "output", least=1))
        return [seconds(arrival), *lengths, *measured]

    columns = {"arrival": ARRIVAL, "prompt": PROMPT, "output": OUTPUT}
    rows = np.array(read_rows(path, columns, parse, optional=MEASURED_COLUMNS))
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    found = dict(zip(MEASURED_COLUMNS, rows[:, 3:].T, strict=True))
    values = {
        f"{name}_s": np.where(np.isfinite(found[f"{name}_s"]), found[f"{name}_s"], found[f"{name}_ms"] / 1e3)
        for name in ("ttft", "tpot", "e2e")
    }
    prompt, output = rows[:, 1].astype(np.int64), rows[:, 2].astype(np.int64)
    derived = np.where(output > 1, (values["e2e_s"] - values["ttft_s"]) / np.maximum(output - 1, 1), np.nan)
    values["tpot_s"] = np.where(np.isfinite(values["tpot_s"]), values["tpot_s"], derived)
    return MeasuredRun(
        "table of requests",
        prompt=prompt,
        output=output,
        arrival_s=rows[:, 0] - rows[0, 0],
        samples={name: column[np.isfinite(column)] for name, column in values.items()},
    )
