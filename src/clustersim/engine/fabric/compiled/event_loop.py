"""Flows that are all known in advance, replayed without leaving compiled code."""

from __future__ import annotations

import math
from typing import Any

from clustersim.engine.fabric.compiled.instant import begin_flow, complete, solve_instant
from clustersim.engine.fabric.compiled.jit import bundles_of, done_of, head_of, inner, queue_of

__all__ = ["place_members", "play"]


@inner
def place_members(s: int) -> None:
    """Give every bundle room for all classes that cross it."""
    first = 0
    for index in range(head_of(s)[0].bundles):
        bundles_of(s)[index].first = first
        first += bundles_of(s)[index].room


@inner
def play(s: int, order: Any, begins: Any, row_class: Any, sizes: Any, finish: Any) -> None:
    """Start the rows in the given order, at their times, and write down when each is finished."""
    head = head_of(s)[0]
    now_s, waiting = 0.0, 0
    while True:
        start_s = begins[order[waiting]] if waiting < len(order) else math.inf
        end_s = queue_of(s)[0].key if head.queue else math.inf
        next_s = min(start_s, end_s)
        if next_s == math.inf:
            break
        now_s = max(now_s, next_s)
        head.done = 0
        while head.queue and queue_of(s)[0].key <= now_s:
            complete(s, queue_of(s)[0].who, now_s)
        for place in range(head.done):
            finish[done_of(s)[place].flow] = now_s
        while waiting < len(order) and begins[order[waiting]] <= now_s:
            row = order[waiting]
            begin_flow(s, row_class[row], row, sizes[row], now_s)
            waiting += 1
        solve_instant(s, now_s)
