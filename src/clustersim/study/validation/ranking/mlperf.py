"""MLPerf Inference results of ranking models, in the columns of `serving_row`.

What the rules do not fix follows from NVIDIA's code of the round, which all submitters with TensorRT run:
precisions of the layers, rows in device memory, and the largest batch by accelerator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["SETUPS", "mlperf_rows"]

_MS = 1e-3
_INT8_SINCE = 4.0
_CANDIDATES = "mlperf-dlrm"


class _Setup(NamedTuple):
    """How NVIDIA's submissions set up an accelerator: batches of pairs, tables, and where inputs begin."""

    accelerator: str
    offline_samples: int
    server_samples: int
    device_share: str = ""
    inputs: str = "host"
    server_samples_below_8: int | None = None
    """In servers of fewer than eight GPUs; None: as many."""

    def server_batch(self, gpus: str) -> str:
        """Return the largest batch of the Server scenario in a server of so many GPUs."""
        few = self.server_samples_below_8 is not None and gpus.isdecimal() and int(gpus) < 8
        return str(self.server_samples_below_8 if few else self.server_samples)


SETUPS = (
    # mlcommons/inference_results_v4.0 and v4.1, closed/NVIDIA/configs/dlrm-v2/{Offline,Server}/__init__.py:
    # gpu_batch_size, embedding_weights_on_gpu_part, start_from_device. A30: the same folder of v3.1.
    _Setup(r"gh200.*(144|hbm3e)", 600_000, 102_400, inputs="device"),
    _Setup(r"gh200", 600_000, 204_800),
    _Setup(r"h200|b200|b300|gb300", 600_000, 51_200, inputs="device"),
    _Setup(r"h100.*(pcie|nvl)", 51_200, 51_200),
    _Setup(r"h100", 600_000, 51_200, server_samples_below_8=102_400),
    _Setup(r"l40s", 7_500, 7_500),
    _Setup(r"l4\b", 1_400, 1_400, device_share="0.3"),
    _Setup(r"a30\b", 51_200, 51_200, device_share="0.4"),
    _Setup(r"", 51_200, 51_200),
)
"""First match counts; the last is for all others."""


class _Benchmark(NamedTuple):
    model: str
    interaction_99_9: str | None
    """Precision of the interaction where 99.9 % of the accuracy is asked for and the rest is int8."""


_BENCHMARKS = (
    (r"dlrm-?v2", _Benchmark("dlrm-dcnv2-mlperf", "fp16")),
    (r"dlrm", _Benchmark("dlrm-criteo-1tb", None)),
)


def mlperf_rows(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the rows in our columns.

    Offline is a service that has all queries at once. Server is one with Poisson arrivals: where the table
    has the Offline result of the same system, at the same share of Offline's rate, so that the error of that
    rate is not in the latencies a second time; else at the rate itself.
    """
    offline = {
        _system(row): float(row["samples_per_s"])
        for row in rows
        if _is_offline(row) and row["samples_per_s"].strip()
    }
    return [_row(row, offline) for row in rows]


def _system(row: Mapping[str, str]) -> tuple[str, ...]:
    columns = ("round", "submitter", "system", "accelerator", "n_accelerators", "benchmark")
    return tuple(row.get(column) or "" for column in columns)


def _is_offline(row: Mapping[str, str]) -> bool:
    return row["scenario"].strip().lower() == "offline"


def _row(row: Mapping[str, str], offline: Mapping[tuple[str, ...], float]) -> dict[str, str]:
    name = row["benchmark"].strip().lower()
    named = {
        "row_id": row["row_id"],
        "table": f"MLPerf {row.get('round') or ''} {name} {row['scenario']}".replace("  ", " "),
        "source": row.get("source") or "",
        "how": row.get("how") or "",
    }
    refused = _refused(row, name)
    if refused:
        return {**named, "refused": refused}
    words = row["accelerator"].lower()
    setup = next(each for each in SETUPS if re.search(each.accelerator, words))
    common = {
        **named,
        "gpu": row["accelerator"],
        "gpus": row["n_accelerators"],
        "system": row.get("system") or "",
        "engine": "mlperf-tensorrt",
        **_model(name, row.get("round") or ""),
        "device_share": setup.device_share,
        "inputs": setup.inputs,
        "candidates": _CANDIDATES,
    }
    if _is_offline(row):
        # check_contiguity: samples of one query after the other, which are not gathered.
        inputs = "contiguous" if setup.inputs == "host" else setup.inputs
        rate = {"saturated": "yes", "queries_per_s": row["samples_per_s"]}
        return {**common, **rate, "inputs": inputs, "max_samples": str(setup.offline_samples)}
    return {
        **common,
        **_server_load(row, offline.get(_system(row))),
        "max_samples": setup.server_batch(row["n_accelerators"].strip()),
        "saturated_max_samples": str(setup.offline_samples),
        **_latencies(row),
    }


def _refused(row: Mapping[str, str], name: str) -> str:
    if not any(re.match(pattern, name) for pattern, _ in _BENCHMARKS):
        return f"'{row['benchmark']}' is no ranking benchmark that is known; dlrm and dlrm-v2 are"
    if row["scenario"].strip().lower() not in ("offline", "server"):
        return f"the scenario '{row['scenario']}' is not modelled; Offline and Server are"
    if not row["accelerator"].strip() or row["accelerator"].strip().lower() in ("n/a", "none", "-"):
        return "no accelerator; ranking on processors alone is not compared"
    words = row.get("framework") or "TensorRT"
    if not re.search(r"tensor\s*rt", words, re.IGNORECASE):
        return f"what '{words}' costs on the host is not in the catalogue; TensorRT is"
    return ""


def _model(name: str, round_name: str) -> dict[str, str]:
    """Return model and precisions: int8 since v4.0 (and for the older DLRM), 16 bits before.

    At 99.9 % the cross layers stay in 16 bits; on L40S the top MLP, too, which is left out.
    """
    benchmark = next(each for pattern, each in _BENCHMARKS if re.match(pattern, name))
    found = re.search(r"(\d+(?:\.\d+)?)", round_name)
    is_old = found is not None and float(found.group(1)) < _INT8_SINCE
    precision = "fp16" if is_old and benchmark.interaction_99_9 else "int8"
    mixed = precision == "int8" and name.endswith("99.9") and benchmark.interaction_99_9
    return {
        "model": benchmark.model,
        "precision": precision,
        "embeddings": precision,
        "interaction": benchmark.interaction_99_9 or "" if mixed else "",
    }


def _server_load(row: Mapping[str, str], offline_per_s: float | None) -> dict[str, str]:
    rate = (row.get("target_qps") or row["samples_per_s"]).strip()
    if offline_per_s is None:
        return {"rate_per_s": rate}
    return {"saturation": f"{float(rate) / offline_per_s:.6g}"}


def _latencies(row: Mapping[str, str]) -> dict[str, str]:
    read = {f"latency_{name}_s": (row.get(f"lat_{name}_ms") or "").strip() for name in ("p50", "p90", "p99")}
    return {name: f"{float(text) * _MS:.9g}" for name, text in read.items() if text}
