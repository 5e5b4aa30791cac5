"""Writes scenarios/traces/sample-prefixes.jsonl: made-up conversations in Mooncake's trace format.

Sessions begin with one of three system prompts; each turn repeats what came before it and adds
lognormal lengths. Nothing is copied from a trace.

    python tools/make_sample_prefixes.py > scenarios/traces/sample-prefixes.jsonl
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np

SESSIONS = 60
BEGIN_WITHIN_MS = 100_000
PAUSE_MS = (6_000, 30_000)
MOST_TURNS = 5
SYSTEM_PROMPT_BLOCKS = (2, 4, 8)
BLOCK_TOKENS = 512
NEW_TOKENS = (1000.0, 0.8)
OUTPUT_TOKENS = (100.0, 0.6)
SEED = 2025

Row = dict[str, Any]


def session(rng: np.random.Generator, system: list[str], names: Iterator[int]) -> Iterator[Row]:
    """Yield the turns of one conversation; block ids are names that nobody else has."""
    ids = list(system)
    tokens = len(system) * BLOCK_TOKENS
    moment_ms = rng.uniform(0, BEGIN_WITHIN_MS)
    for _ in range(int(rng.integers(1, MOST_TURNS + 1))):
        tokens += 1 + int(rng.lognormal(np.log(NEW_TOKENS[0]), NEW_TOKENS[1]))
        ids += [f"own{next(names)}" for _ in range(tokens // BLOCK_TOKENS - len(ids))]
        output = 1 + int(rng.lognormal(np.log(OUTPUT_TOKENS[0]), OUTPUT_TOKENS[1]))
        unfilled = [f"own{next(names)}"] if tokens % BLOCK_TOKENS else []
        yield {
            "timestamp": int(moment_ms),
            "input_length": tokens,
            "output_length": output,
            "hash_ids": ids + unfilled,
        }
        tokens += output
        moment_ms += rng.uniform(*PAUSE_MS)


def main() -> None:
    rng, names = np.random.default_rng(SEED), count()
    systems = [[f"system{blocks}.{n}" for n in range(blocks)] for blocks in SYSTEM_PROMPT_BLOCKS]
    rows = [
        row for _ in range(SESSIONS) for row in session(rng, systems[int(rng.integers(len(systems)))], names)
    ]
    rows.sort(key=lambda row: row["timestamp"])
    numbers: dict[str, int] = {}
    for row in rows:
        row["hash_ids"] = [numbers.setdefault(name, len(numbers)) for name in row["hash_ids"]]
        print(json.dumps(row))


if __name__ == "__main__":
    main()
