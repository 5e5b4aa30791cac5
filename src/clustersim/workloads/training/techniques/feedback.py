"""Memory for what compression has left out so far: it is added to the next gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.spec.training import TrainingSpec
from clustersim.workloads.training.memory import MemoryBreakdown

__all__ = ["with_feedback"]

_KEEPS = ("top-k", "powersgd")


def with_feedback(spec: TrainingSpec, memory: Sequence[MemoryBreakdown]) -> tuple[MemoryBreakdown, ...]:
    """Return the memory of each stage with a second set of gradients where the method keeps what is left.

    **Checked by:** tests/workloads/test_training_compression.py.
    """
    if spec.compression is None or spec.compression.method not in _KEEPS:
        return tuple(memory)
    return tuple(replace(whole, gradients=2.0 * whole.gradients) for whole in memory)
