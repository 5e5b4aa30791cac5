"""Engine step times from measured tables, in place of the roofline."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustersim.cost.roofline import KernelTime
from clustersim.cost.step_timer import DecodeRun
from clustersim.errors import InputError

__all__ = [
    "DECODE_ATTENTION",
    "PREFILL_ATTENTION",
    "TOKEN_OPERATORS",
    "ServingTables",
    "TableTimer",
    "read_tables",
]

TOKEN_OPERATORS = (
    "attn_pre_proj",
    "attn_post_proj",
    "attn_rope",
    "mlp_up_proj",
    "mlp_down_proj",
    "mlp_act",
    "input_layernorm",
    "post_attention_layernorm",
    "add",
)
"""Operators of a layer whose time depends on the number of tokens alone."""
KV_SAVE = "attn_kv_cache_save"
DECODE_ATTENTION = "attn_decode"
PREFILL_ATTENTION = "attn_prefill"

_CONTEXT_GRAIN = 64
_TOKEN_GRAIN = 8
_GROUPED_QUERY_FACTOR = 1.1


@dataclass(frozen=True)
class ServingTables:
    """Times of one layer's operators on one GPU, in seconds.

    Parameters
    ----------
    tokens_s
        `[t]`: all operators of `TOKEN_OPERATORS` together for t tokens.
    kv_save_s
        `[t]`: writing the keys and values of t tokens into the cache.
    decode_s
        `(batch, context)`: decode attention of `batch` requests of `context` tokens each, the
        context a multiple of 64.
    prefill_s
        `(past, chunk)`: prompt attention of `chunk` tokens after `past` cached ones, the past
        a multiple of 64.
    """

    tokens_s: np.ndarray
    kv_save_s: np.ndarray
    decode_s: Mapping[tuple[int, int], float]
    prefill_s: Mapping[tuple[int, int], float]


class TableTimer:
    """Step times by the formula of Vidur (Agrawal et al., MLSys 2024).

    *Equation.* With T tokens in the step, T8 that rounded up to a multiple of 8, b decodes of
    mean context c̄, and chunks of cᵢ tokens after kᵢ:

        t = L·[tokens(T8) + kv_save(T) + decode(b, ⌈⌊c̄⌋⌉₆₄) + prefill(Σ⌈kᵢ⌉₆₄, round √Σcᵢ²)]

    where grouped-query models pay 1.1 times decode for b > 1, and 1.1 times prefill for more
    than one chunk. There is no embedding, logits, sampling or host time in it.

    A decode run is constant until the mean context passes the next multiple of 64, so that
    runs in closed form work as with the roofline.

    Parameters
    ----------
    tables
        Measured times.
    layers
        L.
    grouped_query
        Whether the model has fewer key-value heads than heads.
    host_s
        Host time per step, added to the formula.

    Checked by: tests/workloads/test_inference_vidur.py.
    """

    def __init__(
        self, tables: ServingTables, *, layers: int, grouped_query: bool = False, host_s: float = 0.0
    ) -> None:
        self._tables = tables
        self._layers = layers
        self._factor = _GROUPED_QUERY_FACTOR if grouped_query else 1.0
        self._host_s = host_s

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step; see `StepTimer.step`."""
        tokens = decodes + sum(new for new, _ in chunks)
        dense_s = self._token_time(self._tables.tokens_s, _ceil_to(tokens, _TOKEN_GRAIN))
        dense_s += self._token_time(self._tables.kv_save_s, tokens) + self._prefill_s(chunks)
        attention_s = self._decode_s(decodes, context_sum)
        return KernelTime(self._layers * dense_s, self._layers * attention_s, self._host_s)

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return a run of equal steps, to the end of the present cell of the decode table."""
        first = self.step(decodes=decodes, context_sum=context_sum, chunks=(), sampled=decodes)
        cell_end = _ceil_to(context_sum // decodes, _CONTEXT_GRAIN)
        steps = cell_end - context_sum // decodes + 1
        return DecodeRun(first, KernelTime(0.0, 0.0, 0.0), steps)

    def _decode_s(self, decodes: int, context_sum: int) -> float:
        if not decodes:
            return 0.0
        cell = (decodes, _ceil_to(context_sum // decodes, _CONTEXT_GRAIN))
        seconds = _look_up(self._tables.decode_s, cell, DECODE_ATTENTION)
        return seconds * (self._factor if decodes > 1 else 1.0)

    def _prefill_s(self, chunks: Sequence[tuple[int, int]]) -> float:
        if not chunks:
            return 0.0
        past = sum(_ceil_to(done, _CONTEXT_GRAIN) for _, done in chunks)
        new = round(float(np.sqrt(sum(tokens * tokens for tokens, _ in chunks))))
        seconds = _look_up(self._tables.prefill_s, (past, new), PREFILL_ATTENTION)
        return seconds * (self._factor if len(chunks) > 1 else 1.0)

    @staticmethod
    def _token_time(table: np.ndarray, tokens: int) -> float:
        if tokens >= len(table):
            raise InputError(
                f"the time tables end at {len(table) - 1} tokens per step; this step has {tokens}"
            )
        return float(table[tokens])


def read_tables(folder: Path) -> ServingTables:
    """Read per-operator CSV files (`NAME.csv` or `NAME.csv.gz`, times in ms) of Vidur's columns.

    Files by name: those of `TOKEN_OPERATORS` and `attn_kv_cache_save` with `num_tokens`,
    `attn_decode` with `batch_size,kv_cache_size`, `attn_prefill` with
    `kv_cache_size,prefill_chunk_size_squared`; each with `prediction`.

    Raises
    ------
    InputError
        If a file is missing or lacks a column.
    """
    tokens = sum(_token_column(folder, name) for name in TOKEN_OPERATORS)
    decode = _columns(folder, DECODE_ATTENTION, "batch_size", "kv_cache_size", "prediction")
    prefill = _columns(folder, PREFILL_ATTENTION, "kv_cache_size", "prefill_chunk_size_squared", "prediction")
    return ServingTables(
        tokens_s=np.asarray(tokens),
        kv_save_s=_token_column(folder, KV_SAVE),
        decode_s={(int(batch), int(context)): ms * 1e-3 for batch, context, ms in decode},
        prefill_s={(int(past), round(square**0.5)): ms * 1e-3 for past, square, ms in prefill},
    )


def _token_column(folder: Path, name: str) -> np.ndarray:
    rows = _columns(folder, name, "num_tokens", "prediction")
    table = np.full(int(max(tokens for tokens, _ in rows)) + 1, np.nan)
    for tokens, ms in rows:
        table[int(tokens)] = ms * 1e-3
    return table


def _columns(folder: Path, name: str, *columns: str) -> list[tuple[float, ...]]:
    path = next(
        (folder / f"{name}{end}" for end in (".csv", ".csv.gz") if (folder / f"{name}{end}").exists()), None
    )
    if path is None:
        raise InputError(f"{folder}: there is no {name}.csv or {name}.csv.gz among the time tables")
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    reader = csv.reader(text.splitlines())
    header = next(reader, [])
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(f"{path}:1: column '{missing[0]}' is missing; it has {', '.join(header)}")
    places = [header.index(column) for column in columns]
    return [tuple(float(row[place]) for place in places) for row in reader]


def _look_up(table: Mapping[tuple[int, int], float], cell: tuple[int, int], name: str) -> float:
    try:
        return table[cell]
    except KeyError:
        raise InputError(f"the table '{name}' has no entry for {cell}") from None


def _ceil_to(value: int, grain: int) -> int:
    return -(-value // grain) * grain
