"""Errors of a serving layer's operators against Vidur's profiles: docs/serving-cost.md has its output.

    python tools/serving_layer_errors.py --truth FOLDER

FOLDER holds `vidur_profiles/linear_ops.csv.gz` and `attention.csv.gz` (Microsoft's Vidur, and Frontier).
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from clustersim import catalog
from clustersim.catalog.models import TransformerModel
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.stage import LayerCost

DEVICES = {"a100": "a100-sxm4-80gb", "h100": "h100-sxm5-80gb", "a40": "a40"}
OPERATORS = {
    "emb": "embedding",
    "input_layernorm": "attention.norm",
    "attn_pre_proj": "attention.qkv",
    "attn_rope": "attention.rope",
    "attn_post_proj": "attention.output",
    "post_attention_layernorm": "ffn.norm",
    "mlp_up_proj": "ffn.up",
    "mlp_act": "ffn.activation",
    "mlp_down_proj": "ffn.down",
    "add": "ffn.residual",
}
Row = dict[str, str]
Error = tuple[str, str, float]


def main() -> None:
    """Print median and p90 of the errors, and the bias of the median, by device and operator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5, help="take every n-th row (5)")
    given = parser.parse_args()
    folder = given.truth / "vidur_profiles"
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    for device, operator, error in _linear(_rows(folder / "linear_ops.csv.gz", given.every)):
        errors[device, operator].append(error)
    for device, operator, error in _attention(_rows(folder / "attention.csv.gz", given.every)):
        errors[device, operator].append(error)
    print("| device | operator | rows | median | p90 | bias |\n|---|---|---|---|---|---|")
    for (device, operator), found in sorted(errors.items()):
        size = np.abs(found)
        print(
            f"| {device} | {operator} | {len(found):,} | {np.median(size):.1%} | "
            f"{np.quantile(size, 0.9):.1%} | {np.median(found):+.1%} |"
        )


def _rows(path: Path, every: int) -> Iterator[Row]:
    with gzip.open(path, "rt", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if number % every == 0 and row["device"] in DEVICES:
                yield row


def _linear(rows: Iterator[Row]) -> Iterator[Error]:
    for row in rows:
        layer = _layer(row["device"], _linear_model(row), int(row["num_tensor_parallel_workers"]))
        tokens = int(row["num_tokens"])
        operators = layer.layer_operators(0, tokens=tokens, routed=tokens, requests=0)
        operators += layer.embedding_operators(tokens)
        predicted = {operator.name: layer.seconds([operator]).seconds * 1e3 for operator in operators}
        known = {name: float(row[f"{name}_ms"]) for name in OPERATORS if row[f"{name}_ms"]}
        for name, measured in known.items():
            if measured > 0:
                yield row["device"], name, predicted[OPERATORS[name]] / measured - 1
        inside = [name for name in known if name != "emb"]
        whole = sum(known[name] for name in inside)
        yield (
            row["device"],
            "layer without attention",
            sum(predicted[OPERATORS[n]] for n in inside) / whole - 1,
        )


def _attention(rows: Iterator[Row]) -> Iterator[Error]:
    for row in rows:
        layer = _layer(row["device"], _attention_model(row), int(row["num_tensor_parallel_workers"]))
        batch, cached = int(row["batch_size"]), int(row["kv_cache_size"])
        if row["is_prefill"] == "True":
            predicted = layer.prefill([(int(row["prefill_chunk_size"]), cached)] * batch).seconds
            measured, name = row["attn_prefill_ms"], "attention of prompts"
        else:
            fixed, per_token = layer.decode_line(batch)
            predicted = (fixed + per_token * (batch * cached)).seconds
            measured, name = row["attn_decode_ms"], "attention of decodes"
        if measured and float(measured) > 0:
            yield row["device"], name, predicted * 1e3 / float(measured) - 1


def _linear_model(row: Row) -> TransformerModel:
    shape = (row["n_head"], row["n_kv_head"], row["n_embd"], row["n_expanded_embd"], row["vocab_size"])
    return _model(*map(int, shape), gated=row["use_gated_mlp"] == "True")


def _attention_model(row: Row) -> TransformerModel:
    heads, kv_heads, hidden = (int(row[name]) for name in ("n_q_head", "n_kv_head", "n_embd"))
    return _model(heads, kv_heads, hidden, 4 * hidden, 32000, gated=True)


@cache
def _model(heads: int, kv_heads: int, hidden: int, ffn: int, vocab: int, *, gated: bool) -> TransformerModel:
    return TransformerModel(
        name="row",
        layers=1,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=hidden // heads,
        ffn_hidden=ffn,
        gated_ffn=gated,
        vocab=vocab,
        tied_embeddings=False,
        max_sequence=4096,
        positional="rope",
    )


@cache
def _layer(device: str, model: TransformerModel, tensor: int) -> LayerCost:
    return LayerCost(
        model,
        catalog.accelerator(DEVICES[device]),
        layout=ServingLayout(tensor=tensor),
        formats=NumberFormats(precision="fp16"),
    )


if __name__ == "__main__":
    main()
