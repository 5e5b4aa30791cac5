"""How unequal the ranks of a ranking job are: the one with most to do beside the mean of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clustersim.report.numbers import count, duration, size
from clustersim.report.tables import Column, add_row, grid, inset

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clustersim.workloads.base import Outcome

__all__ = ["rank_lines"]

_COLUMNS: tuple[Column, ...] = (
    ("a rank has", "left"),
    ("least", "right"),
    ("mean", "right"),
    ("most", "right"),
    ("most/mean", "right"),
    ("at", "right"),
)
_SHOWN: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("lookups", "rows to look up", count),
    ("embedding_s", "look-ups and updates", duration),
    ("forward_bytes", "pooled embeddings to send", size),
    ("memory_bytes", "memory", size),
    ("waiting_s", "waiting for others", duration),
)
"""Columns of the table of ranks, in words, and how they are written."""


def rank_lines(outcome: Outcome) -> list[RenderableType]:
    """Return a table of what differs between ranks; nothing of a single one."""
    ranks = outcome.tables.get("ranks")
    if ranks is None or len(ranks["rank"]) < 2:
        return []
    table = grid(*_COLUMNS)
    for column, words, write in _SHOWN:
        values = np.asarray(ranks[column], dtype=float) if column in ranks else np.zeros(1)
        mean = float(values.mean())
        if mean <= 0.0:
            continue
        most = int(values.argmax())
        figures = (write(float(values.min())), write(mean), write(float(values[most])))
        add_row(table, words, *figures, f"{float(values[most]) / mean:.2f}", f"rank {most}")
    return ["", inset(table), ""] if table.row_count else []
