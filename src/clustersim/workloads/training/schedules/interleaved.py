"""Interleaved 1F1B: every stage has several chunks of layers, which shortens the bubble."""

from __future__ import annotations

from clustersim.errors import InputError, Problem
from clustersim.workloads.training.schedules.passes import Order, Pass, PassKind, alternate

__all__ = ["interleaved"]


def interleaved(stages: int, stage: int, micro_batches: int, chunks: int) -> Order:
    """Return the stage's share of interleaved 1F1B.

    Micro-batches go through a chunk in groups of p, then through the next chunk. Stage s of p (from 0)
    starts with 2(p - s - 1) + (v - 1)p forward passes of a chunk.

    *Equation.* Bubble over busy time of equal chunks: (p - 1)/(v·m).

    Raises
    ------
    InputError
        If the micro-batches are no multiple of the stages.

    **Source:** Narayanan et al., SC21, section 2.2.2; warm-up as in Megatron-LM,
    `forward_backward_pipelining_with_interleaving`.
    **Checked by:** tests/workloads/test_training_schedules.py.
    """
    if micro_batches % stages:
        below = micro_batches - micro_batches % stages
        nearest = f"{below} or {below + stages}" if below else str(stages)
        message = (
            f"'interleaved' sends micro-batches in groups of as many as there are stages: {micro_batches} "
            f"micro-batches per replica and step are no multiple of {stages}; the nearest that are: {nearest}"
        )
        raise InputError(Problem(("parallelism", "schedule"), message))
    return tuple(
        alternate(
            _passes("forward", stages, micro_batches, chunks),
            _passes("backward", stages, micro_batches, chunks),
            warm_up=2 * (stages - stage - 1) + (chunks - 1) * stages,
        )
    )


def _passes(kind: PassKind, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
    """Order passes of a kind: backward passes go through the chunks from the last to the first."""
    through = range(chunks) if kind == "forward" else range(chunks - 1, -1, -1)
    return [
        Pass(kind, first + number, chunk)
        for first in range(0, micro_batches, stages)
        for chunk in through
        for number in range(stages)
    ]
