"""Summaries of NVIDIA's GenAI-Perf: `profile_export_genai_perf.csv`."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np

from clustersim.errors import InputError
from clustersim.study.validation.measured.measured_run import MeasuredRun

__all__ = ["is_genai_perf", "read_genai_perf"]

_LATENCIES = {
    "Time To First Token (ms)": "ttft_s",
    "Inter Token Latency (ms)": "itl_s",
    "Request Latency (ms)": "e2e_s",
}
_RATES = {
    "Output Token Throughput (per sec)": "output_tokens_per_s",
    "Output Token Throughput (tokens/sec)": "output_tokens_per_s",
    "Request Throughput (per sec)": "requests_per_s",
    "Request Throughput (requests/sec)": "requests_per_s",
}
_STATISTICS = {"avg": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
_REQUESTS = 200


def is_genai_perf(header: Sequence[str]) -> bool:
    """Whether the first line of a CSV file is that of a summary."""
    return [cell.strip().casefold() for cell in header[:2]] == ["metric", "avg"]


def read_genai_perf(lines: Sequence[str], where: str) -> MeasuredRun:
    """Read a summary: means and percentiles, and the mean lengths.

    The tool's time between tokens is, per request, the mean over its tokens: what `tpot_s` is here.

    Raises
    ------
    InputError
        For a file without lengths of requests, or with cells that are no numbers.
    """
    rows = {row[0].strip(): row[1:] for row in csv.reader(lines) if row}
    header = [cell.strip() for cell in next(csv.reader(lines[:1]))[1:]]
    try:
        table = {
            name: {
                _STATISTICS[column]: _number(cell)
                for column, cell in zip(header, cells, strict=False)
                if column in _STATISTICS and cell.strip()
            }
            for name, cells in rows.items()
            if name in _LATENCIES or name.endswith(("Sequence Length", "(tokens)"))
        }
        rates = {_RATES[name]: _number(cells[0]) for name, cells in rows.items() if name in _RATES and cells}
        lengths = [_length(table, what) for what in ("Input", "Output")]
        count = int(_number(rows["Request Count"][0])) if rows.get("Request Count") else _REQUESTS
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(f"{where}: is no summary of GenAI-Perf: {error}") from None
    summary = {
        "tpot_s" if key == "itl_s" else key: {name: value / 1e3 for name, value in table[metric].items()}
        for metric, key in _LATENCIES.items()
        if metric in table
    }
    return MeasuredRun(
        "GenAI-Perf",
        prompt=np.full(count, lengths[0]),
        output=np.full(count, lengths[1]),
        summary=summary,
        rates=rates,
        notes=("the file has no single requests: all are simulated with the mean lengths",),
    )


def _length(table: dict[str, dict[str, float]], what: str) -> int:
    for name, statistics in table.items():
        if name.startswith(f"{what} Sequence Length"):
            return max(1, round(statistics["mean"]))
    raise KeyError(f"no row '{what} Sequence Length'")


def _number(text: str) -> float:
    return float(text.replace(",", ""))
