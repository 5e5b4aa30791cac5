"""GPipe: all forward passes, then all backward passes."""

from __future__ import annotations

from clustersim.workloads.training.schedules.passes import Order, Pass, refuse_chunks

__all__ = ["gpipe"]


def gpipe(stages: int, stage: int, micro_batches: int, chunks: int) -> Order:
    """Return all forward passes, then the backward passes in the opposite order.

    *Equation.* Bubble over busy time of equal stages: (p - 1)/m; every stage keeps the activations of all
    m micro-batches.
    **Source:** Huang et al., "GPipe", NeurIPS 2019, section 2.2 and figure 2.
    **Checked by:** tests/workloads/test_training_schedules.py.
    """
    refuse_chunks("gpipe", chunks)
    forwards = [Pass("forward", micro_batch) for micro_batch in range(micro_batches)]
    return (*forwards, *(Pass("backward", item.micro_batch) for item in reversed(forwards)))
