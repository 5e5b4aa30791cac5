"""ZB-H1: weight gradients are computed where 1F1B has bubbles."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.workloads.training.schedules.passes import Order, Pass, refuse_chunks

__all__ = ["zero_bubble"]


def zero_bubble(stages: int, stage: int, micro_batches: int, chunks: int) -> Order:
    """Return the stage's share of ZB-H1.

    Forward and backward passes come as in 1F1B, the backward pass with the gradient of the input alone.
    The weight pass of a micro-batch comes s backward passes later on stage s of p (from 0); what is left
    comes at the end.

    *Equation.* Bubble of equal stages: (p - 1)(T_F + T_B - T_W), where 1F1B has (p - 1)(T_F + T_B + T_W);
    every stage keeps at most min(m, p) micro-batches, as the first stage of 1F1B does.
    **Valid when** T_F = T_B = T_W and m ≥ p, for the equation.
    **Source:** Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024 (arXiv:2401.10241), section 2.1,
    figure 3 and table 2.
    **Checked by:** tests/workloads/test_training_schedules.py.
    """
    refuse_chunks("zero-bubble", chunks)
    return tuple(_passes(warm_up=min(stages - stage - 1, micro_batches), delay=stage, last=micro_batches))


def _passes(*, warm_up: int, delay: int, last: int) -> Iterator[Pass]:
    yield from (Pass("forward", micro_batch) for micro_batch in range(warm_up))
    for micro_batch in range(last):
        if warm_up + micro_batch < last:
            yield Pass("forward", warm_up + micro_batch)
        yield Pass("backward", micro_batch)
        if micro_batch >= delay:
            yield Pass("weight", micro_batch - delay)
    yield from (Pass("weight", micro_batch) for micro_batch in range(max(0, last - delay), last))
