"""1F1B: a backward pass as soon as there can be one."""

from __future__ import annotations

from clustersim.workloads.training.schedules.passes import Order, Pass, alternate, refuse_chunks

__all__ = ["one_forward_one_backward"]


def one_forward_one_backward(stages: int, stage: int, micro_batches: int, chunks: int) -> Order:
    """Return the stage's share of 1F1B with a flush at the end of the iteration.

    Stage s of p (from 0) starts with p - s - 1 forward passes.

    *Equation.* Bubble over busy time of equal stages: (p - 1)/m; stage s keeps the activations of at most
    min(m, p - s) micro-batches.
    **Source:** PipeDream-Flush: Narayanan et al., "Memory-Efficient Pipeline-Parallel DNN Training", ICML
    2021; Narayanan et al., SC21, section 2.2.1.
    **Checked by:** tests/workloads/test_training_schedules.py.
    """
    refuse_chunks("1f1b", chunks)
    return tuple(
        alternate(
            (Pass("forward", micro_batch) for micro_batch in range(micro_batches)),
            (Pass("backward", micro_batch) for micro_batch in range(micro_batches)),
            warm_up=stages - stage - 1,
        )
    )
