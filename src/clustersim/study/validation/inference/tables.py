"""Published tables of serving measurements, brought into the columns of `row`."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clustersim.study.validation import framework
from clustersim.study.validation.inference.row import COLUMNS, METRICS, ServingRow

__all__ = ["MLPERF_SETUPS", "own_columns", "read_table"]

_SPLITWISE = ("hardware", "tensor_parallel", "prompt_size", "batch_size", "token_size")
_MLPERF = ("benchmark", "scenario", "accelerator", "n_accelerators")
_MS = 1e-3
_CONTRADICTION = 2.0
"""Figures of a row do not belong together where answers take so many times longer than their tokens."""


class _Benchmark(NamedTuple):
    """What MLPerf's rules fix: the model, and the data set that its requests come from."""

    model: str
    lengths: str
    output_scale: float


_BENCHMARKS = {
    # Answers in the data set are GPT-4's, 218.9 tokens on average; Llama-2-70B's own have 294.45
    # (mlcommons/inference, language/llama2-70b/README.md: TOKENS_PER_SAMPLE).
    "llama2-70b": _Benchmark("llama-2-70b", "mlperf-llama-2-70b", 294.45 / 218.9),
    "mixtral-8x7b": _Benchmark("mixtral-8x7b", "mlperf-mixtral-8x7b", 1.0),
    "llama3.1-405b": _Benchmark("llama-3.1-405b", "mlperf-llama-3.1-405b", 1.0),
    "llama3.1-8b": _Benchmark("llama-3.1-8b", "mlperf-llama-3.1-8b", 1.0),
    "deepseek-r1": _Benchmark("deepseek-v3", "mlperf-deepseek-r1", 1.0),
}


_NOT_MODELLED = {"gptj": "answers are found by beam search over 4 beams, which is not modelled"}


class _Setup(NamedTuple):
    """How NVIDIA's submission lays a model out on an accelerator; other submitters run the same code."""

    benchmark: str
    accelerator: str
    tensor: int
    offline_batch: int
    server_batch: int


MLPERF_SETUPS = (
    # mlcommons/inference_results_v4.1, closed/NVIDIA/configs/llama2-70b/{Offline,Server}/__init__.py:
    # use_fp8, tensor_parallelism, gpu_batch_size, kvcache_free_gpu_mem_frac 0.90.
    _Setup("llama2-70b", r"h100-sxm", 2, 896, 1024),
    _Setup("llama2-70b", r"h100-nvl", 2, 1300, 640),
    _Setup("llama2-70b", r"h200", 1, 806, 896),
    _Setup("llama2-70b", r"gh200", 1, 806, 806),
)
"""First match counts; where none does, the smallest tensor group whose memory holds the model."""


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table in our columns; Splitwise's and MLPerf's are recognised by theirs.

    Raises
    ------
    InputError
        If the table cannot be read, or is of none of these kinds.
    """
    names = set(framework.read_table(path, ())[0])
    if names >= set(_SPLITWISE):
        rows = framework.read_table(path, _SPLITWISE)
        return [_from_splitwise(number, row) for number, row in enumerate(rows, start=1)]
    if names >= set(_MLPERF):
        return [_from_mlperf(row) for row in framework.read_table(path, _MLPERF)]
    return framework.read_table(path, COLUMNS)


def own_columns() -> tuple[str, ...]:
    """Return the columns of a table of one's own, all of them."""
    fields = [name for name in ServingRow.__dataclass_fields__ if name not in ("id", "measured")]
    return ("row_id", *fields, *METRICS, "refused", "source", "how")


def _from_splitwise(number: int, row: Mapping[str, str]) -> dict[str, str]:
    """A batch of equal requests, sent at once to one replica."""
    named = {
        "row_id": f"S{number:03}",
        "table": f"Splitwise, {row['model']}, {row['tensor_parallel']} x {row['hardware']}",
    }
    whole_ms, first_ms, token_ms = (
        float(row.get(f"{name}_time_ms") or 0) for name in ("e2e", "prompt", "token")
    )
    if whole_ms > _CONTRADICTION * (first_ms + int(row["token_size"]) * token_ms):
        tokens = f"{first_ms:,.0f} ms and {row['token_size']} times {token_ms:.0f} ms"
        reason = f"the row contradicts itself: {whole_ms:,.0f} ms in all are not {tokens}"
        return {**named, "refused": reason, "source": row.get("source", ""), "how": row.get("how", "")}
    return {
        **named,
        "gpu": row["hardware"],
        "gpus": row["tensor_parallel"],
        "tensor": row["tensor_parallel"],
        "model": row["model"],
        "engine": _splitwise_engine(row.get("framework", "")),
        "precision": "fp16",
        "policy": "vllm",
        "max_batched_tokens": "2560",  # vLLM's default of 2023
        "prompt": row["prompt_size"],
        "output": row["token_size"],
        "batch": row["batch_size"],
        "first_tokens_s": _seconds(row["prompt_time_ms"]),
        "tpot_s": _seconds(row["token_time_ms"]),
        "source": row.get("source", ""),
        "how": row.get("how", ""),
    }


def _splitwise_engine(words: str) -> str:
    return "vllm-2023-eager" if re.search(r"vllm.*2023", words, re.IGNORECASE) else ""


def _from_mlperf(row: Mapping[str, str]) -> dict[str, str]:
    """All samples at once (Offline), or Poisson arrivals at the target rate (Server)."""
    name = row["benchmark"].lower()
    offline = row["scenario"].lower() == "offline"
    key = next((key for key in _BENCHMARKS if name.startswith(key)), None)
    if key is None:
        reason = _NOT_MODELLED.get(
            name.partition("-")[0], f"the data set of '{row['benchmark']}' is not known"
        )
        table = f"MLPerf {row.get('round', '')} {name}"
        source = {"source": row.get("source", ""), "how": row.get("how", "")}
        return {"row_id": row["row_id"], "table": table, "refused": reason, **source}
    benchmark = _BENCHMARKS[key]
    setup = _setup(name, row["accelerator"])
    filled = {
        "row_id": row["row_id"],
        "table": f"MLPerf {row.get('round', '')} {name} {row['scenario']}",
        "gpu": row["accelerator"],
        "gpus": row["n_accelerators"],
        "system": row.get("system", ""),
        "model": benchmark.model,
        "lengths": benchmark.lengths,
        "output_scale": f"{benchmark.output_scale:.6g}",
        "engine": "tensorrt-llm" if "TensorRT" in row.get("framework", "") else "",
        "precision": "fp16",
        "weights": "fp8",
        "activations": "fp8",
        "kv_cache": "fp8",
        "policy": "vllm-v1",  # in-flight batching: prompts and decodes share steps
        "tensor": str(setup.tensor) if setup else "",
        "max_batch": str(setup.offline_batch if offline else setup.server_batch) if setup else "1024",
        "output_tokens_per_s": row["tokens_per_s"],
        "source": row.get("source", ""),
        "how": row.get("how", ""),
    }
    if offline:
        return {**filled, "batch": "24576"}
    return {
        **filled,
        "rate_per_s": row["target_qps"],
        **{
            f"{ours}_s": _seconds(row[f"{theirs}_ms"])
            for ours, theirs in _LATENCIES
            if row.get(f"{theirs}_ms")
        },
    }


_LATENCIES = (
    ("ttft", "ttft_mean"),
    ("ttft_p99", "ttft_p99"),
    ("tpot", "tpot_mean"),
    ("tpot_p99", "tpot_p99"),
)


def _setup(benchmark: str, accelerator: str) -> _Setup | None:
    words = accelerator.lower()
    return next(
        (
            setup
            for setup in MLPERF_SETUPS
            if benchmark.startswith(setup.benchmark) and re.search(setup.accelerator, words)
        ),
        None,
    )


def _seconds(text: str) -> str:
    return f"{float(text) * _MS:.9g}" if text.strip() else ""


def main(paths: Sequence[str]) -> None:
    """Print tables in our columns."""
    writer = csv.DictWriter(sys.stdout, own_columns(), restval="", lineterminator="\n")
    writer.writeheader()
    for path in paths:
        writer.writerows(read_table(Path(path)))


if __name__ == "__main__":
    main(sys.argv[1:])
