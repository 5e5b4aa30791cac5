"""What an optimizer keeps per parameter, and the memory traffic of its update."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["OPTIMIZERS", "Optimizer", "OptimizerName"]

OptimizerName = Literal["adam", "lamb", "sgd"]


@dataclass(frozen=True)
class Optimizer:
    """One optimizer, as a fused multi-tensor kernel updates the weights.

    Parameters
    ----------
    state_bytes
        fp32 state kept per parameter.
    passes
        fp32 elements read or written per parameter, the gradient apart.
    gradient_passes
        Times that the gradient is read.

    **Valid when** states and master weights are fp32 and the update is fused over tensors.
    """

    name: OptimizerName
    state_bytes: float
    passes: int
    gradient_passes: int
    source: str

    def traffic_bytes(self, *, gradient_bytes: float, mixed: bool) -> float:
        """Bytes moved per parameter by one update.

        *Equation.* 4·passes + gradient_bytes·gradient_passes, and 2 more where the update
        also writes the half-precision copy of the weights (`mixed`).
        """
        return 4.0 * self.passes + gradient_bytes * self.gradient_passes + (2.0 if mixed else 0.0)


_SGD = Optimizer(
    name="sgd",
    state_bytes=4.0,
    passes=4,
    gradient_passes=1,
    source="Momentum SGD: reads weight and momentum, writes both (NVIDIA Apex FusedSGD)",
)
_ADAM = Optimizer(
    name="adam",
    state_bytes=8.0,
    passes=6,
    gradient_passes=1,
    source="Kingma and Ba, ICLR 2015: reads weight and two moments, writes all three (NVIDIA Apex FusedAdam)",
)
_LAMB = Optimizer(
    name="lamb",
    state_bytes=8.0,
    passes=12,
    gradient_passes=2,
    source="You et al., ICLR 2020, in the two stages of NVIDIA Apex FusedLAMB: the gradient is read for its "
    "global norm and again in stage 1, which reads weight and moments and writes moments and update (6); the "
    "norms of weight and update are read (2); stage 2 reads both, writes the weight (3); the update buffer "
    "is cleared (1)",
)

OPTIMIZERS = MappingProxyType({optimizer.name: optimizer for optimizer in (_SGD, _ADAM, _LAMB)})
"""Optimizers by name."""
