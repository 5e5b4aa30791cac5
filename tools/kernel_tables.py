"""Reads public kernel measurements as (operator, seconds) rows.

Files, in the folder given by `--truth`:

- D5_gemm_times.csv, D6_attention_times.csv, D7_moe_layer_times.csv: NVIDIA's AIConfigurator
  (github.com/ai-dynamo/aiconfigurator) kernel tables of A100 SXM and H100 SXM, CUDA graphs;
  D5 also has 20 rows of LLMCompass (Zhang et al., ISCA 2024).
- vidur_profiles/linear_ops.csv.gz, attention.csv.gz: operator times of Vidur (Agrawal et al.,
  MLSys 2024) on A100, H100 and A40, to the microsecond; attention of Llama-3.1-405B on H800
  (an H100 with less NVLink) from Frontier.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clustersim.catalog.models import MoeConfig, TransformerModel
from clustersim.cost import mixture
from clustersim.cost.operators import (
    Operator,
    decode_attention,
    elementwise,
    gemm,
    prefill_attention,
)

DEVICES = {
    "a100_sxm": "a100-sxm4-80gb",
    "h100_sxm": "h100-sxm5-80gb",
    "a100": "a100-sxm4-80gb",
    "h100": "h100-sxm5-80gb",
    "a40": "a40",
    "h800": "h100-sxm5-80gb",
}
"""The tables' device names to the catalogue's."""

MEMORY_COLUMNS = {
    "input_layernorm_ms": "norm",
    "post_attention_layernorm_ms": "norm",
    "add_ms": "elementwise",
    "mlp_act_ms": "activation",
    "attn_rope_ms": "activation",
    "emb_ms": "embedding",
}


@dataclass(frozen=True)
class Row:
    """One measurement: of one kernel, or of several that were timed together."""

    table: str
    device: str
    operator: Operator
    seconds: float
    more: tuple[Operator, ...] = ()


def read(path: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def gemm_rows(truth: Path) -> Iterator[Row]:
    for row in read(truth / "D5_gemm_times.csv"):
        m, n, k = (float(row[key]) for key in "mnk")
        table = "LLMCompass" if "LLMCompass" in row["framework"] else "AIConfigurator"
        operator = gemm("gemm", m=m, n=n, k=k, precision=row["dtype"])
        yield Row(table, DEVICES[row["system"]], operator, float(row["latency_us"]) * 1e-6)


def attention_rows(truth: Path) -> Iterator[Row]:
    for row in read(truth / "D6_attention_times.csv"):
        batch, queries, keys, heads, kv_heads, width = (
            float(row[key]) for key in ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
        )
        shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": width, "precision": row["dtype"]}
        if row["phase"] == "decode":
            operator = decode_attention("decode", batch=batch, context_sum=batch * keys, **shape)
        else:
            operator = prefill_attention(
                "prefill", queries=queries, past=keys - queries, batch=batch, **shape
            )
        yield Row("AIConfigurator", DEVICES[row["system"]], operator, float(row["latency_us"]) * 1e-6)


def expert_rows(truth: Path) -> Iterator[Row]:
    """Yield fused mixture-of-experts layers of GPUs that hold all experts, in bf16 and fp8."""
    for row in read(truth / "D7_moe_layer_times.csv"):
        if row["ep"] != "1" or row["dtype"] not in ("bf16", "fp8"):
            continue
        if row["system"] == "a100_sxm" and row["dtype"] == "fp8":
            continue
        model = _expert_model(
            experts=int(row["experts"]),
            experts_per_token=int(row["topk"]),
            hidden=int(row["hidden"]),
            width=int(row["inter"]),
        )
        operators = mixture.feed_forward(
            model, tokens=float(row["tokens"]), precision=row["dtype"], tensor=int(row["tp"])
        )
        first, *others = [each for each in operators if each.name != "moe.router"]
        seconds = float(row["latency_us"]) * 1e-6
        table = f"AIConfigurator, {'balanced' if row['routing'] == 'balanced' else 'skewed'}"
        yield Row(table, DEVICES[row["system"]], first, seconds, tuple(others))


def _expert_model(*, experts: int, experts_per_token: int, hidden: int, width: int) -> TransformerModel:
    return TransformerModel(
        name="experts",
        layers=1,
        hidden=hidden,
        heads=1,
        kv_heads=1,
        head_dim=hidden,
        ffn_hidden=width,
        gated_ffn=True,
        vocab=0,
        tied_embeddings=True,
        max_sequence=1,
        positional="none",
        moe=MoeConfig(experts=experts, experts_per_token=experts_per_token, ffn_hidden=width),
    )


def profiled_attention_rows(truth: Path) -> Iterator[Row]:
    """Yield attention of Vidur's profiles: chunks after a past, and decode steps."""
    for row in read(truth / "vidur_profiles" / "attention.csv.gz"):
        if row["device"] not in ("a100", "h800"):
            continue
        if row["device"] == "h800" and row["is_prefill"] == "False":
            continue  # they imply up to 8 TB/s from a memory of 3.35 TB/s
        parts = float(row["num_tensor_parallel_workers"])
        all_heads = float(row["n_q_head"])
        shape = {
            "heads": all_heads / parts,
            "kv_heads": max(1.0, float(row["n_kv_head"]) / parts),
            "head_dim": float(row["n_embd"]) / all_heads,
            "precision": "fp16",
        }
        batch, past = float(row["batch_size"]), float(row["kv_cache_size"])
        if row["is_prefill"] == "True":
            milliseconds, chunk = row["attn_prefill_ms"], float(row["prefill_chunk_size"])
            operator = prefill_attention("prefill", queries=chunk, past=past, batch=batch, **shape)
        else:
            milliseconds = row["attn_decode_ms"]
            operator = decode_attention("decode", batch=batch, context_sum=batch * past, **shape)
        if milliseconds:
            table = "Frontier (H800)" if row["device"] == "h800" else "Vidur"
            yield Row(table, DEVICES[row["device"]], operator, float(milliseconds) * 1e-3)


def operator_rows(truth: Path) -> Iterator[Row]:
    """Yield the linear and the memory-bound operators of Vidur's profiles, in 16 bit."""
    for row in read(truth / "vidur_profiles" / "linear_ops.csv.gz"):
        if row["source"] != "vidur" or row["device"] not in DEVICES:
            continue
        for column, operator in _operators(row):
            if row[column]:
                yield Row("Vidur", DEVICES[row["device"]], operator, float(row[column]) * 1e-3)


def _operators(row: dict[str, str]) -> Iterator[tuple[str, Operator]]:
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
        kind = MEMORY_COLUMNS[column]
        yield column, elementwise(kind, kind=kind, bytes_moved=2 * count, precision="fp16")  # type: ignore[arg-type]
