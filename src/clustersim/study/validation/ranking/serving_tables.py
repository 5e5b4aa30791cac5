"""Published tables of ranking services, brought into the columns of `serving_row`: MLPerf's and Triton's."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from clustersim.study.validation import framework
from clustersim.study.validation.ranking.mlperf import mlperf_rows
from clustersim.study.validation.ranking.serving_row import COLUMNS, METRICS, RankingServingRow

__all__ = ["is_serving_table", "own_columns", "read_serving_table"]

_MLPERF = ("benchmark", "scenario", "accelerator", "n_accelerators", "samples_per_s")
_TRITON = ("gpu", "model", "backend", "batch", "concurrency", "inferences_per_s")
_US = 1e-6

_MODELS = (
    (r"dlrm", r"\b4(\.2)?\s*b|t15", "dlrm-criteo-t15"),
    (r"dlrm", r"\b22(\.8)?\s*b|t3\b", "dlrm-criteo-t3"),
    (r"dlrm", r"\b113\s*b|t0\b", "dlrm-criteo-t0"),
    (r"dcn", r"\b4(\.2)?\s*b|t15", "dcnv2-criteo-t15"),
    (r"dcn", r"\b22(\.8)?\s*b|t3\b", "dcnv2-criteo-t3"),
    (r"dcn", r"\b113\s*b|t0\b", "dcnv2-criteo-t0"),
)
"""Words of model and size, and the catalogue's model: NVIDIA/DeepLearningExamples, with rows of Criteo that
occur 15, 3 or 0 times at least."""

_ENGINES = ((r"hps|hierarchical parameter", "triton-hps"), (r"tensor\s*flow|\btf\b", "triton-tensorflow"))

_TABLES: Mapping[str, Mapping[str, str]] = {
    # merlin_hps_inference.md: --hps_gpucacheper 0.1; the 262,144 benchmark samples are sent again and again
    # behind a warm-up, so that all their rows are in the cache.
    "triton-hps": {"device_share": "0.1", "warm": "yes"},
    # tensorflow_inference.md: --memory-threshold-gb 60 on an A100 80GB; other devices: the same share.
    "triton-tensorflow": {"device_memory": "0.75"},
}


def is_serving_table(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is about ranking services: MLPerf's, Triton's, or in our columns."""
    names = set(columns)
    ours = names >= set(COLUMNS) and bool(names & {"samples", "candidates"})
    return names >= set(_MLPERF) or names >= set(_TRITON) or ours


def read_serving_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table in our columns.

    Raises
    ------
    InputError
        If the table cannot be read, or is of none of these kinds.
    """
    rows = framework.read_table(path, ())
    names = set(rows[0])
    if names >= set(_MLPERF):
        return mlperf_rows(rows)
    if names >= set(_TRITON):
        return [_from_triton(row) for row in rows]
    return framework.read_table(path, COLUMNS)


def own_columns() -> tuple[str, ...]:
    """Return the columns of a table of one's own, all of them."""
    fields = [name for name in RankingServingRow.__dataclass_fields__ if name not in ("id", "measured")]
    return ("row_id", *fields, *METRICS, "refused", "source", "how")


def _from_triton(row: Mapping[str, str]) -> dict[str, str]:
    """Perf_analyzer's clients, each with one request of a whole batch outstanding."""
    words = f"{row.get('model_size') or ''} {row['model']}"
    model = next((ours for kind, size, ours in _MODELS if _in(kind, row["model"]) and _in(size, words)), None)
    engine = next((ours for pattern, ours in _ENGINES if _in(pattern, row["backend"])), None)
    served = f"{row['model']} {row.get('model_size') or ''}".strip()
    named = {
        "row_id": row["row_id"],
        "table": f"Triton {served}, {engine or row['backend']}, {row['gpu']}",
        "source": row.get("source", ""),
        "how": row.get("how", ""),
    }
    if model is None:
        return {**named, "refused": f"the size of '{words.strip()}' is not known; 4B, 22B and 113B are"}
    if engine is None:
        return {**named, "refused": f"what '{row['backend']}' costs on the host is not in the catalogue"}
    return {
        **named,
        "gpu": row["gpu"],
        "gpus": _gpus(row["gpu"]),
        "model": model,
        "engine": engine,
        "precision": row["precision"].strip().lower(),
        "embeddings": "fp32",
        **_TABLES[engine],
        "samples": row["batch"],
        "concurrency": row["concurrency"],
        "samples_per_s": row["inferences_per_s"],
        **{f"latency_{name}_s": _seconds(row, f"{name}_us") for name in ("p50", "p90", "p99")},
        "latency_s": _seconds(row, "avg_us"),
    }


def _gpus(words: str) -> str:
    """GPUs that the words count, as in `NVIDIA DGX A100 (1x A100 80GB)`; one otherwise."""
    found = re.search(r"\b(\d+)\s*x\b", words)
    return found.group(1) if found else "1"


def _in(pattern: str, words: str) -> bool:
    return re.search(pattern, words, re.IGNORECASE) is not None


def _seconds(row: Mapping[str, str], column: str) -> str:
    text = (row.get(column) or "").strip()
    return f"{float(text) * _US:.9g}" if text else ""


def main(paths: Sequence[str]) -> None:
    """Print tables in our columns."""
    writer = csv.DictWriter(sys.stdout, own_columns(), restval="", lineterminator="\n")
    writer.writeheader()
    for path in paths:
        writer.writerows(read_serving_table(Path(path)))


if __name__ == "__main__":
    main(sys.argv[1:])
