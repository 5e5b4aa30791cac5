"""Results of vLLM's `vllm bench serve` (`benchmark_serving.py`) and of SGLang's `bench_serving`.

Both write one object per run with the same names for almost everything: means and percentiles in
milliseconds (`mean_ttft_ms`, `median_itl_ms`, `p99_e2el_ms`), and, with `--save-detailed` (vLLM) or
`--output-details` (SGLang), lists over requests: `input_lens`, `output_lens`, `ttfts` and `itls` in
seconds, `start_times` in newer versions of vLLM, `errors`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustersim.errors import InputError
from clustersim.study.validation.measured.measured_run import MeasuredRun, Sending

__all__ = ["is_benchmark", "read_benchmark"]

_SUMMARY = re.compile(r"(mean|median|p[\d.]+)_(ttft|tpot|itl|e2el|e2e_latency)_ms")
_LATENCY = {"ttft": "ttft_s", "tpot": "tpot_s", "itl": "itl_s", "e2el": "e2e_s", "e2e_latency": "e2e_s"}
_RATES = {"request_throughput": "requests_per_s", "output_throughput": "output_tokens_per_s"}
_LISTS = ("input_lens", "output_lens", "ttfts", "itls")


def is_benchmark(data: Any) -> bool:
    """Whether an object looks like a result of these tools."""
    return isinstance(data, Mapping) and "completed" in data and "request_throughput" in data


def read_benchmark(data: Mapping[str, Any], where: str) -> MeasuredRun:
    """Read one run.

    Parameters
    ----------
    where
        The file, for messages.

    Raises
    ------
    InputError
        For fields that are missing or have another form than the tools give them.
    """
    try:
        sglang = "total_output_tokens_retokenized" in data or "mean_e2e_latency_ms" in data
        tool = "SGLang bench_serving" if sglang else "vLLM benchmark_serving"
        common = {
            "tool": tool,
            "sending": _sending(data),
            "rates": {name: float(data[key]) for key, name in _RATES.items() if key in data},
        }
        if all(data.get(key) for key in _LISTS):
            return _detailed(data, where, common)
        return _summary(data, where, common)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{where}: is no result of vLLM's or SGLang's benchmark: {error!r}") from None


def _sending(data: Mapping[str, Any]) -> Sending:
    rate = data.get("request_rate")
    concurrency = data.get("max_concurrency")
    return Sending(
        rate_per_s=None if rate is None else float(rate),
        burstiness=float(data.get("burstiness") or 1.0),
        concurrency=None if concurrency is None else int(concurrency),
    )


def _detailed(data: Mapping[str, Any], where: str, common: dict[str, Any]) -> MeasuredRun:
    lengths = {key: len(data[key]) for key in _LISTS}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{where}: lists over requests differ in length: {lengths}")
    errors = data.get("errors") or [""] * lengths["ttfts"]
    prompt, output, ttft_s = (np.array(data[key], dtype=float) for key in _LISTS[:3])
    good = np.array([not error for error in errors]) & (output > 0)
    if not good.any():
        raise InputError(f"{where}: no request of this run was answered")
    gaps = [np.array(gaps, dtype=float) for gaps, kept in zip(data["itls"], good, strict=True) if kept]
    e2e_s = ttft_s[good] + np.array([gaps_s.sum() for gaps_s in gaps])
    many = output[good] > 1
    failed = int((~good).sum())
    start_s = np.array(data["start_times"], dtype=float)[good] if data.get("start_times") else None
    return MeasuredRun(
        **common,
        prompt=prompt[good].astype(np.int64),
        output=output[good].astype(np.int64),
        arrival_s=None if start_s is None else start_s - start_s.min(),
        samples={
            "ttft_s": ttft_s[good],
            "tpot_s": ((e2e_s - ttft_s[good])[many]) / (output[good][many] - 1),
            "itl_s": np.concatenate([*gaps, np.empty(0)]),
            "e2e_s": e2e_s,
        },
        notes=(f"{failed} requests of the run failed and are left out",) if failed else (),
    )


def _summary(data: Mapping[str, Any], where: str, common: dict[str, Any]) -> MeasuredRun:
    count = int(data["completed"])
    if count < 1:
        raise InputError(f"{where}: no request of this run was answered")
    summary: dict[str, dict[str, float]] = {}
    for key, value in data.items():
        match = _SUMMARY.fullmatch(key)
        if match and value is not None and math.isfinite(float(value)):
            statistic = "p50" if match[1] == "median" else match[1]
            summary.setdefault(_LATENCY[match[2]], {})[statistic] = float(value) / 1e3
    prompt, output = (
        max(1, round(float(data[key]) / count)) for key in ("total_input_tokens", "total_output_tokens")
    )
    return MeasuredRun(
        **common,
        prompt=np.full(count, prompt),
        output=np.full(count, output),
        summary=summary,
        notes=(
            "the file has no single requests: all are simulated with the mean lengths; "
            "save it with --save-detailed (vLLM) or --output-details (SGLang)",
        ),
    )
