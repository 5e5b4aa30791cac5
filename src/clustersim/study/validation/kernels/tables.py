"""Public tables of kernel times, read as operators and seconds.

A folder of tables holds some of these files:

- D5_gemm_times.csv, D6_attention_times.csv, D7_moe_layer_times.csv: kernel tables of NVIDIA's
  AIConfigurator (github.com/ai-dynamo/aiconfigurator) for A100 SXM and H100 SXM, CUDA graphs;
  the first also has products of LLMCompass (Zhang et al., ISCA 2024).
- vidur_profiles/linear_ops.csv.gz, attention.csv.gz: operator times of Vidur (Agrawal et al.,
  MLSys 2024) on A100, H100 and A40, to the microsecond; attention on A800, H800 (A100 and H100
  with less NVLink) of Frontier, and on A30.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clustersim.catalog.models import MoeConfig, TransformerModel
from clustersim.cost import mixture
from clustersim.cost.operators import (
    MemoryKind,
    Operator,
    decode_attention,
    elementwise,
    gemm,
    prefill_attention,
)
from clustersim.errors import CatalogError, InputError

__all__ = ["Measurement", "measurements"]

DEVICES = MappingProxyType(
    {
        "a100_sxm": "a100-sxm4-80gb",
        "h100_sxm": "h100-sxm5-80gb",
        "a100": "a100-sxm4-80gb",
        "a800": "a100-sxm4-80gb",
        "h100": "h100-sxm5-80gb",
        "h800": "h100-sxm5-80gb",
        "a30": "a30",
        "a40": "a40",
    }
)
"""The tables' device names to the catalogue's."""

_MEMORY_KINDS: Mapping[str, MemoryKind] = MappingProxyType(
    {
        "input_layernorm_ms": "norm",
        "post_attention_layernorm_ms": "norm",
        "add_ms": "elementwise",
        "mlp_act_ms": "activation",
        "attn_rope_ms": "activation",
        "emb_ms": "embedding",
    }
)
_IMPLAUSIBLE_DECODE = "decode steps of this table imply up to 8 TB/s from a memory of 3.35 TB/s"
_EXPERTS_APART = "experts are spread over GPUs, and the table does not say what each of them got"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One time: of one kernel, or of several that were timed together.

    Parameters
    ----------
    table, row
        Where it stands.
    device
        Name in the catalogue.
    operators
        What was timed; empty where the row cannot be modelled.
    reason
        Why it cannot be modelled.
    """

    table: str
    row: str
    device: str
    operators: tuple[Operator, ...]
    seconds: float
    reason: str = ""


def measurements(folder: Path) -> Iterator[Measurement]:
    """Read every table of a folder that is there.

    Raises
    ------
    InputError
        If none of them is, or one of them is not what its name says.
    """
    found = [(folder / name, reader) for name, reader in _READERS.items() if (folder / name).is_file()]
    if not found:
        raise InputError(f"{folder}: has none of the tables {', '.join(_READERS)}")
    for path, reader in found:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    yield from reader(row, f"{path.name}:{number}")
                except CatalogError as error:  # a device or precision that nothing is known of
                    yield Measurement(path.name, f"{path.name}:{number}", "", (), 0.0, str(error))
                except (KeyError, ValueError) as error:
                    raise InputError(
                        f"{path}:{number}: cannot be read as a row of this table ({error})"
                    ) from None


def _gemm(row: Mapping[str, str], at: str) -> Iterator[Measurement]:
    m, n, k = (float(row[key]) for key in "mnk")
    table = "LLMCompass" if "LLMCompass" in row["framework"] else "AIConfigurator"
    operator = gemm("gemm", m=m, n=n, k=k, precision=row["dtype"])
    yield Measurement(table, at, DEVICES[row["system"]], (operator,), float(row["latency_us"]) * 1e-6)


def _attention(row: Mapping[str, str], at: str) -> Iterator[Measurement]:
    batch, queries, keys, heads, kv_heads, width = (
        float(row[key]) for key in ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
    )
    shape: dict[str, Any] = {
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": width,
        "precision": row["dtype"],
    }
    if row["phase"] == "decode":
        operator = decode_attention("decode", batch=batch, context_sum=batch * keys, **shape)
    else:
        operator = prefill_attention("prefill", queries=queries, past=keys - queries, batch=batch, **shape)
    seconds = float(row["latency_us"]) * 1e-6
    yield Measurement("AIConfigurator", at, DEVICES[row["system"]], (operator,), seconds)


def _experts(row: Mapping[str, str], at: str) -> Iterator[Measurement]:
    """Fused layers of experts on GPUs that hold all of them."""
    device, precision = DEVICES[row["system"]], row["dtype"]
    table = f"AIConfigurator, {'balanced' if row['routing'] == 'balanced' else 'skewed'}"
    reason = ""
    if row["ep"] != "1":
        reason = _EXPERTS_APART
    elif precision not in ("bf16", "fp8"):
        reason = f"no curve for products in {precision}"
    operators = [] if reason else _layer(row)
    seconds = float(row["latency_us"]) * 1e-6
    yield Measurement(table, at, device, tuple(operators), seconds, reason)


def _layer(row: Mapping[str, str]) -> list[Operator]:
    model = TransformerModel(
        name="experts",
        layers=1,
        hidden=int(row["hidden"]),
        heads=1,
        kv_heads=1,
        head_dim=int(row["hidden"]),
        ffn_hidden=int(row["inter"]),
        gated_ffn=True,
        vocab=0,
        tied_embeddings=True,
        max_sequence=1,
        positional="none",
        moe=MoeConfig(
            experts=int(row["experts"]), experts_per_token=int(row["topk"]), ffn_hidden=int(row["inter"])
        ),
    )
    layer = mixture.feed_forward(
        model, tokens=float(row["tokens"]), precision=row["dtype"], tensor=int(row["tp"])
    )
    return [operator for operator in layer if operator.name != "moe.router"]


def _profiled_attention(row: Mapping[str, str], at: str) -> Iterator[Measurement]:
    """Attention of Vidur's profiles: chunks after a past, and decode steps."""
    parts, all_heads = float(row["num_tensor_parallel_workers"]), float(row["n_q_head"])
    shape: dict[str, Any] = {
        "heads": all_heads / parts,
        "kv_heads": max(1.0, float(row["n_kv_head"]) / parts),
        "head_dim": float(row["n_embd"]) / all_heads,
        "precision": "fp16",
    }
    batch, past = float(row["batch_size"]), float(row["kv_cache_size"])
    prefill = row["is_prefill"] == "True"
    milliseconds = row["attn_prefill_ms" if prefill else "attn_decode_ms"]
    if not milliseconds:
        return
    if prefill:
        chunk = float(row["prefill_chunk_size"])
        operator = prefill_attention("prefill", queries=chunk, past=past, batch=batch, **shape)
    else:
        operator = decode_attention("decode", batch=batch, context_sum=batch * past, **shape)
    device = row["device"]
    table = f"Frontier ({device.upper()})" if device in ("h800", "a800") else "Vidur"
    reason = _IMPLAUSIBLE_DECODE if device == "h800" and not prefill else ""
    operators = () if reason else (operator,)
    yield Measurement(table, at, DEVICES[device], operators, float(milliseconds) * 1e-3, reason)


def _linear(row: Mapping[str, str], at: str) -> Iterator[Measurement]:
    """The linear and the memory-bound operators of Vidur's profiles, in 16 bit."""
    table = f"Frontier ({row['device'].upper()})" if row["source"] == "Frontier" else "Vidur"
    for column, operator in _layer_operators(row):
        if row[column]:
            seconds = float(row[column]) * 1e-3
            yield Measurement(table, f"{at}:{column}", DEVICES[row["device"]], (operator,), seconds)


def _layer_operators(row: Mapping[str, str]) -> Iterator[tuple[str, Operator]]:
    tokens, hidden, wide, heads, kv_heads, parts = (
        float(row[key])
        for key in (
            "num_tokens",
            "n_embd",
            "n_expanded_embd",
            "n_head",
            "n_kv_head",
            "num_tensor_parallel_workers",
        )
    )
    gated = row["use_gated_mlp"] == "True"
    head_dim, width = hidden / heads, wide / parts
    queries, keys = heads / parts, max(1.0, kv_heads / parts)
    shapes = {
        "attn_pre_proj_ms": ((queries + 2 * keys) * head_dim, hidden),
        "attn_post_proj_ms": (hidden, queries * head_dim),
        "mlp_up_proj_ms": ((2 if gated else 1) * width, hidden),
        "mlp_down_proj_ms": (hidden, width),
    }
    for column, (n, k) in shapes.items():
        yield column, gemm("gemm", m=tokens, n=n, k=k, precision="fp16")
    elements = {
        "input_layernorm_ms": 2 * tokens * hidden,
        "post_attention_layernorm_ms": 2 * tokens * hidden,
        "add_ms": 3 * tokens * hidden,
        "mlp_act_ms": (3 if gated else 2) * tokens * width,
        "attn_rope_ms": 2 * tokens * (queries + keys) * head_dim,
        "emb_ms": 2 * tokens * hidden,
    }
    for column, count in elements.items():
        kind = _MEMORY_KINDS[column]
        yield column, elementwise(kind, kind=kind, bytes_moved=2 * count, precision="fp16")


_READERS = MappingProxyType(
    {
        "D5_gemm_times.csv": _gemm,
        "D6_attention_times.csv": _attention,
        "D7_moe_layer_times.csv": _experts,
        "vidur_profiles/linear_ops.csv.gz": _linear,
        "vidur_profiles/attention.csv.gz": _profiled_attention,
    }
)
