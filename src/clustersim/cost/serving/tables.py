"""Engine step times from measured tables, in place of the roofline."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving.step_timer import DecodeRun
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
_SECOND_NORM = "post_attention_layernorm"
KV_SAVE = "attn_kv_cache_save"
DECODE_ATTENTION = "attn_decode"
PREFILL_ATTENTION = "attn_prefill"
ALL_REDUCE = "all_reduce"
SEND = "send_recv"

_CONTEXT_GRAIN = 64
_TOKEN_GRAIN = 8
_GROUPED_QUERY_FACTOR = 1.1
_LAUNCH_S = 0.02e-3
"""Vidur's `nccl_cpu_launch_overhead_ms`, for each all-reduce."""


@dataclass(frozen=True)
class ServingTables:
    """Times of one layer's operators on one GPU, in seconds.

    Parameters
    ----------
    tokens_s
        `[t]`: all operators of `TOKEN_OPERATORS` together for t tokens; NaN where there is none.
    kv_save_s
        `[t]`: writing the keys and values of t tokens into the cache.
    decode_s
        `(batch, context)`: decode attention of `batch` requests of `context` tokens each, the
        context a multiple of 64.
    prefill_s
        `(past, chunk)`: prompt attention of `chunk` tokens after `past` cached ones, the past
        a multiple of 64.
    all_reduce_s
        `[t]`: one all-reduce of t tokens over the tensor-parallel GPUs, where it was measured.
    send_s
        `[t]`: sending t tokens to the next pipeline stage, where it was measured.
    """

    tokens_s: np.ndarray
    kv_save_s: np.ndarray
    decode_s: Mapping[tuple[int, int], float]
    prefill_s: Mapping[tuple[int, int], float]
    all_reduce_s: np.ndarray | None = None
    send_s: np.ndarray | None = None


class TableTimer:
    """Step times by the formula of Vidur (Agrawal et al., MLSys 2024).

    *Equation.* With T tokens in the step, T8 that rounded up to a multiple of 8, b decodes of
    mean context c̄, and chunks of cᵢ tokens after kᵢ, each of P stages takes

        t = L/P·[tokens(T8) + kv_save(T) + decode(b, ⌈⌊c̄⌋⌉₆₄) + prefill(Σ⌈kᵢ⌉₆₄, round √Σcᵢ²)
            + 2·(all_reduce(T8) + 0.02 ms)] + send(T8)

    where grouped-query models pay 1.1 times decode for b > 1, and 1.1 times prefill for more
    than one chunk; all-reduces count with tensor parallelism, and all stages but the last send.
    There is no embedding, logits, sampling or host time in it. The exchanges count as memory
    bandwidth where a step's time is split over resources.

    A decode run is constant until the mean context passes the next multiple of 64, so that
    runs in closed form work as with the roofline.

    Parameters
    ----------
    tables
        Measured times, of one GPU's share of the heads and widths.
    layers
        L.
    grouped_query
        Whether the model has fewer key-value heads than heads.
    host_s
        Host time per step, added to the formula (on the first stage).
    tensor
        Tensor-parallel GPUs. All-reduces are in the times if this is more than 1 and the tables
        have them; else they are left to the fabric.
    pipeline
        P, pipeline stages.

    Raises
    ------
    InputError
        If the stages do not divide the layers.

    **Checked by:** tests/workloads/test_inference_vidur.py, tests/workloads/test_inference_vidur_replay.py.
    """

    def __init__(
        self,
        tables: ServingTables,
        *,
        layers: int,
        grouped_query: bool = False,
        host_s: float = 0.0,
        tensor: int = 1,
        pipeline: int = 1,
    ) -> None:
        if layers % pipeline:
            raise InputError(f"{pipeline} pipeline stages do not divide {layers} layers")
        self._layers = layers // pipeline
        self._pipeline = pipeline
        self._factor = _GROUPED_QUERY_FACTOR if grouped_query else 1.0
        self._host_s = host_s
        self._tables = tables
        rounded = np.asarray(tables.tokens_s)
        if tensor > 1 and tables.all_reduce_s is not None:
            rounded = _added(rounded, 2.0 * (tables.all_reduce_s + _LAUNCH_S))
        dense = _added(_at_rounded(rounded), np.asarray(tables.kv_save_s))
        self._dense_s: list[float] = (self._layers * dense).tolist()
        self._send_s: list[float] = [] if tables.send_s is None else _at_rounded(tables.send_s).tolist()
        self._decode: dict[tuple[int, int], KernelTime] = {}

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step, all stages; see `StepTimer.step`."""
        dense_s, attention_s, send_s = self._stage(decodes, context_sum, chunks)
        return KernelTime(
            self._pipeline * dense_s,
            self._pipeline * attention_s + (self._pipeline - 1) * send_s,
            self._host_s,
        )

    def stage_seconds(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> tuple[KernelTime, ...]:
        """Return the time of one step at each stage; see `StepTimer.stage_seconds`."""
        dense_s, attention_s, send_s = self._stage(decodes, context_sum, chunks)
        last = self._pipeline - 1
        return tuple(
            KernelTime(
                dense_s,
                attention_s + (send_s if stage < last else 0.0),
                self._host_s if stage == 0 else 0.0,
            )
            for stage in range(self._pipeline)
        )

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return a run of equal steps, to the end of the present cell of the decode table."""
        mean = context_sum // decodes
        context = -(-mean // _CONTEXT_GRAIN) * _CONTEXT_GRAIN
        first = self._decode.get((decodes, context))
        if first is None:
            first = self.step(decodes=decodes, context_sum=context_sum, chunks=(), sampled=decodes)
            self._decode[decodes, context] = first
        return DecodeRun(first, KernelTime.ZERO, context - mean + 1)

    def _stage(
        self, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]]
    ) -> tuple[float, float, float]:
        """Seconds of one stage: on tokens, and on decode attention; and of sending to the next."""
        tokens = decodes + sum([new for new, _ in chunks])
        dense_s = _token_time(self._dense_s, tokens)
        if chunks:
            dense_s += self._layers * self._prefill_s(chunks)
        attention_s = self._layers * self._decode_s(decodes, context_sum) if decodes else 0.0
        return dense_s, attention_s, _token_time(self._send_s, tokens) if self._send_s else 0.0

    def _decode_s(self, decodes: int, context_sum: int) -> float:
        cell = (decodes, _ceil_to(context_sum // decodes, _CONTEXT_GRAIN))
        seconds = _look_up(self._tables.decode_s, cell, DECODE_ATTENTION)
        return seconds * self._factor if decodes > 1 else seconds

    def _prefill_s(self, chunks: Sequence[tuple[int, int]]) -> float:
        past = sum([_ceil_to(done, _CONTEXT_GRAIN) for _, done in chunks])
        new = round(math.sqrt(sum([tokens * tokens for tokens, _ in chunks])))
        seconds = _look_up(self._tables.prefill_s, (past, new), PREFILL_ATTENTION)
        return seconds * self._factor if len(chunks) > 1 else seconds


def read_tables(folder: Path) -> ServingTables:
    """Read per-operator CSV files (`NAME.csv` or `NAME.csv.gz`, times in ms) of Vidur's columns.

    Files by name: those of `TOKEN_OPERATORS` and `attn_kv_cache_save` with `num_tokens`,
    `attn_decode` with `batch_size,kv_cache_size`, `attn_prefill` with
    `kv_cache_size,prefill_chunk_size_squared`; each with `prediction`. `all_reduce` and
    `send_recv` with `num_tokens` where they were measured; `post_attention_layernorm` may be
    missing (models with one norm per layer).

    Raises
    ------
    InputError
        If a file is missing, lacks a column, has no rows or something that is no time.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of time tables")
    columns = [_token_column(folder, name) for name in TOKEN_OPERATORS if _has(folder, name)]
    decode = _columns(folder, DECODE_ATTENTION, "batch_size", "kv_cache_size", "prediction")
    prefill = _columns(folder, PREFILL_ATTENTION, "kv_cache_size", "prefill_chunk_size_squared", "prediction")
    measured = {name: _find(folder, name) is not None for name in (ALL_REDUCE, SEND)}
    return ServingTables(
        tokens_s=_added(*columns),
        kv_save_s=_token_column(folder, KV_SAVE),
        decode_s={(int(batch), int(context)): ms * 1e-3 for batch, context, ms in decode},
        prefill_s={(int(past), round(square**0.5)): ms * 1e-3 for past, square, ms in prefill},
        all_reduce_s=_token_column(folder, ALL_REDUCE) if measured[ALL_REDUCE] else None,
        send_s=_token_column(folder, SEND) if measured[SEND] else None,
    )


def _has(folder: Path, name: str) -> bool:
    """Whether an operator counts: all must be there, but for a norm that not all models have."""
    return name != _SECOND_NORM or _find(folder, name) is not None


def _find(folder: Path, name: str) -> Path | None:
    places = (folder / f"{name}{end}" for end in (".csv", ".csv.gz"))
    return next((place for place in places if place.exists()), None)


def _token_column(folder: Path, name: str) -> np.ndarray:
    rows = _columns(folder, name, "num_tokens", "prediction")
    table = np.full(int(max(tokens for tokens, _ in rows)) + 1, np.nan)
    for tokens, ms in rows:
        table[int(tokens)] = ms * 1e-3
    return table


def _columns(folder: Path, name: str, *columns: str) -> list[tuple[float, ...]]:
    path = _find(folder, name)
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
    rows: list[tuple[float, ...]] = []
    try:
        for row in reader:
            rows.append(tuple([float(row[place]) for place in places]))
    except (ValueError, IndexError):
        raise InputError(f"{path}:{reader.line_num}: expected numbers for {', '.join(columns)}") from None
    if not rows or min(row[-1] for row in rows) < 0.0:
        raise InputError(f"{path}: expected rows with times of at least 0 ms")
    return rows


def _added(*columns: np.ndarray) -> np.ndarray:
    """Sum of tables by tokens, as far as all of them go."""
    length = min(len(column) for column in columns)
    total: np.ndarray = np.sum([column[:length] for column in columns], axis=0)
    return total


def _at_rounded(table: np.ndarray) -> np.ndarray:
    """`[t]`: the entry for t rounded up to a multiple of 8; the table ends where that ends."""
    tokens = np.arange((len(table) - 1) // _TOKEN_GRAIN * _TOKEN_GRAIN + 1)
    found: np.ndarray = table[-(-tokens // _TOKEN_GRAIN) * _TOKEN_GRAIN]
    return found


def _token_time(table: list[float], tokens: int) -> float:
    if tokens >= len(table):
        raise InputError(f"the time tables end at {len(table) - 1} tokens per step; this step has {tokens}")
    seconds = table[tokens]
    if math.isnan(seconds):
        raise InputError(f"the time tables have no entry for {tokens} tokens (rounded up to a multiple of 8)")
    return seconds


def _look_up(table: Mapping[tuple[int, int], float], cell: tuple[int, int], name: str) -> float:
    try:
        return table[cell]
    except KeyError:
        raise InputError(f"the table '{name}' has no entry for {cell}") from None


def _ceil_to(value: int, grain: int) -> int:
    return -(-value // grain) * grain
