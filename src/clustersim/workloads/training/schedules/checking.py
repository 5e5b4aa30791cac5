"""Proof that a schedule can run: every pass once, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from clustersim.errors import InputError, Problem
from clustersim.workloads.training.schedules.execution import execute
from clustersim.workloads.training.schedules.passes import Order, Pass, PassKind

__all__ = ["check_schedule"]


def check_schedule(orders: Sequence[Order], *, micro_batches: int, chunks: int = 1) -> None:
    """Prove that the orders of all stages make up an iteration.

    Every stage has one forward and one backward pass of every micro-batch and chunk, and a weight pass of
    all of them or of none; all come after what they need.

    Raises
    ------
    InputError
        With every pass that is missing or too many, or where the stages wait for each other.
    """
    problems = [
        Problem((), f"the schedule is no iteration: stage {stage} has {found}")
        for stage, order in enumerate(orders)
        for found in _miscounted(order, micro_batches, chunks)
    ]
    if problems:
        raise InputError(problems)
    execute(orders, seconds=lambda stage, item: 0.0)


def _miscounted(order: Order, micro_batches: int, chunks: int) -> Iterator[str]:
    kinds: tuple[PassKind, ...] = ("forward", "backward")
    if any(item.kind == "weight" for item in order):
        kinds = (*kinds, "weight")
    expected = {
        Pass(kind, micro_batch, chunk)
        for kind in kinds
        for micro_batch in range(micro_batches)
        for chunk in range(chunks)
    }
    counts = Counter(order)
    for item in sorted(expected.union(counts)):
        if counts[item] != (item in expected):
            found = f"{counts[item]} times {item.kind} of micro-batch {item.micro_batch}, chunk {item.chunk}"
            yield f"{found}, not {int(item in expected)}"
