"""Writes scenarios/step-times/: made-up times of a layer's operators, in the format of measured ones.

A line per token count for each operator, with a floor for launching it; attention grows with the
tokens it reads. They are of no real GPU: they show the files, and let the scenario that names them run.

    python tools/make_sample_step_times.py
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from itertools import product
from pathlib import Path

FOLDER = Path("scenarios/step-times")
TOKENS = range(1, 289)
CONTEXTS = range(0, 4097, 64)
BATCHES = range(1, 33)
CHUNKS = range(1, 257)
"""Steps of at most 256 tokens of prompts and 32 decodes, requests of at most 4,096 tokens."""

FLOOR_AND_SLOPE_MS = {
    "attn_pre_proj": (0.06, 3e-4),
    "attn_post_proj": (0.03, 1.5e-4),
    "attn_rope": (0.005, 4e-5),
    "attn_kv_cache_save": (0.004, 8e-4),
    "mlp_up_proj": (0.11, 7e-4),
    "mlp_down_proj": (0.06, 4e-4),
    "mlp_act": (0.007, 6e-5),
    "input_layernorm": (0.005, 3e-5),
    "post_attention_layernorm": (0.005, 3e-5),
    "add": (0.002, 1e-5),
    "all_reduce": (0.02, 3e-4),
}


def write(name: str, columns: str, rows: Iterable[tuple[float, ...]]) -> None:
    lines = [columns, *(",".join(f"{value:.6g}" for value in row) for row in rows)]
    data = ("\n".join(lines) + "\n").encode()
    (FOLDER / f"{name}.csv.gz").write_bytes(gzip.compress(data, mtime=0))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (floor, slope) in FLOOR_AND_SLOPE_MS.items():
        write(name, "num_tokens,prediction", ((tokens, floor + slope * tokens) for tokens in TOKENS))
    write(
        "attn_decode",
        "batch_size,kv_cache_size,prediction",
        ((batch, size, 0.01 + 4e-7 * batch * size) for batch, size in product(BATCHES, CONTEXTS)),
    )
    write(
        "attn_prefill",
        "kv_cache_size,prefill_chunk_size_squared,prediction",
        ((size, new * new, 0.012 + 5e-8 * new * (new + 2 * size)) for size, new in product(CONTEXTS, CHUNKS)),
    )


if __name__ == "__main__":
    main()
