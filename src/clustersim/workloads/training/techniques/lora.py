"""Low-rank adapters as a scenario asks for them."""

from __future__ import annotations

from clustersim.cost.training.adapters import Adapters
from clustersim.errors import InputError, Problem
from clustersim.spec.techniques import LoraSpec

__all__ = ["adapters_of"]


def adapters_of(spec: LoraSpec | None) -> Adapters | None:
    """Return what is trained in place of the weights; None where the weights are.

    Raises
    ------
    InputError
        For a target that is no linear layer.
    """
    if spec is None:
        return None
    try:
        return Adapters(rank=spec.rank, targets=spec.targets)
    except InputError as error:
        raise InputError(Problem(("lora", *each.path), each.message) for each in error.problems) from None
