"""What an optimizer keeps per parameter, and the memory traffic of its update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from clustersim.catalog.accelerators import Accelerator
from clustersim.cost.operators import element_bytes, elementwise
from clustersim.cost.roofline import KernelTime, Roofline

__all__ = [
    "GRADIENT_BYTES",
    "OPTIMIZERS",
    "Optimizer",
    "OptimizerName",
    "StateBytes",
    "optimizer_bytes",
    "optimizer_time",
    "optimizer_traffic_bytes",
]

OptimizerName = Literal["adam", "adam-8bit", "adafactor", "lamb", "sgd"]

GRADIENT_BYTES: Mapping[str, float] = MappingProxyType(
    {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 4.0, "fp8": 4.0}
)
"""Bytes in which gradients are added up and reduced, by precision of the arithmetic, unless told otherwise.

fp32 with bf16 and fp8 (Megatron-LM, `--accumulate-allreduce-grads-in-fp32`, which `--bf16` implies; PyTorch
with fp32 parameters under autocast), fp16 with fp16, whose loss is scaled (Megatron-LM `--fp16`; NVIDIA's
BERT scripts, `--allreduce_post_accumulation_fp16`). NeMo's and Megatron-Bridge's performance recipes have 2
for bf16 and fp8 as well (`grad_reduce_in_fp32 = False`)."""

_WITHOUT_MASTER = ("fp32", "tf32")


@dataclass(frozen=True)
class Optimizer:
    """One optimizer, as a fused multi-tensor kernel updates the weights.

    Parameters
    ----------
    state_bytes
        State kept per parameter.
    passes
        fp32 elements read or written per parameter, the gradient apart.
    gradient_passes
        Times that the gradient is read.

    **Valid when** master weights are fp32 and the update is fused over tensors.
    """

    name: OptimizerName
    state_bytes: float
    passes: float
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
    gradient_passes=2,
    source="Kingma and Ba, ICLR 2015: reads weight and two moments, writes all three (Apex FusedAdam); "
    "the gradient is read for its global norm, by which it is clipped, and again",
)
_ADAM_8BIT = Optimizer(
    name="adam-8bit",
    state_bytes=2.0,
    passes=3,
    gradient_passes=2,
    source="Dettmers et al., ICLR 2022 (arXiv:2110.02861): both moments in 8 bits, the scale of each block "
    "of 2,048 left out (0.004 bytes); reads and writes weight (2) and moments (4 bytes: 1)",
)
_ADAFACTOR = Optimizer(
    name="adafactor",
    state_bytes=0.0,
    passes=6,
    gradient_passes=2,
    source="Shazeer and Stern, ICML 2018 (arXiv:1804.04235), without momentum: sums over rows and columns of "
    "a matrix (under 0.01 bytes per parameter from 1,000 × 1,000 on); the gradient is read for the sums and "
    "for the update, which is written (1), read for its root mean square (1) and applied (1); the weight is "
    "read for its own (1), read and written (2)",
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

OPTIMIZERS = MappingProxyType(
    {optimizer.name: optimizer for optimizer in (_SGD, _ADAM, _ADAM_8BIT, _ADAFACTOR, _LAMB)}
)
"""Optimizers by name."""


class StateBytes(NamedTuple):
    """Bytes per trained parameter, by use; frozen parameters have `weights` alone.

    ZeRO divides from the right: 1 master weights and optimizer states, 2 gradients, 3 weights.
    """

    weights: float
    gradients: float
    master_weights: float
    optimizer_states: float


def optimizer_bytes(
    optimizer: OptimizerName, precision: str, *, gradient_bytes: float | None = None
) -> StateBytes:
    """Return what a parameter takes on a GPU that divides nothing with others.

    With Adam: fp32 16 (weight 4, gradient 4, states 8); fp16 16 (weight 2, gradient 2, master 4,
    states 8: Rajbhandari et al., SC20, section 3.1); bf16 18 (gradient 4), so 6 + 12/d with
    Megatron-LM's distributed optimizer over d replicas. fp8 the same: weights are kept in fp8
    and, for the products of the backward pass, transposed (Megatron-LM, `--fp8-param-gather`).

    Parameters
    ----------
    gradient_bytes
        Of one element; None takes `GRADIENT_BYTES`.

    **Source:** NVIDIA Megatron-LM, docs/source/api-guide/dist_optimizer.md.
    **Checked by:** tests/cost/test_optimizers.py.
    """
    return StateBytes(
        # fp8 twice: as it is, and transposed.
        weights=2.0 if precision == "fp8" else float(element_bytes(precision)),
        gradients=GRADIENT_BYTES[precision] if gradient_bytes is None else gradient_bytes,
        master_weights=0.0 if precision in _WITHOUT_MASTER else 4.0,
        optimizer_states=OPTIMIZERS[optimizer].state_bytes,
    )


def optimizer_time(
    accelerator: Accelerator,
    optimizer: OptimizerName,
    parameters: float,
    precision: str,
    *,
    gradient_bytes: float | None = None,
) -> KernelTime:
    """Return the time of the update of `parameters` on one GPU, fused over tensors."""
    traffic = optimizer_traffic_bytes(optimizer, parameters, precision, gradient_bytes=gradient_bytes)
    update = elementwise(f"{optimizer} step", kind="optimizer", bytes_moved=traffic, precision=precision)
    return Roofline(accelerator).kernel(update) if parameters else KernelTime.ZERO


def optimizer_traffic_bytes(
    optimizer: OptimizerName, parameters: float, precision: str, *, gradient_bytes: float | None = None
) -> float:
    """Return the bytes through device memory of the update of `parameters`.

    With fp8 the new weights are cast (4 bytes read, 1 written) and transposed (1 and 1), in place
    of 2 bytes written.
    """
    rule = OPTIMIZERS[optimizer]
    gradient_bytes = GRADIENT_BYTES[precision] if gradient_bytes is None else gradient_bytes
    traffic = rule.traffic_bytes(gradient_bytes=gradient_bytes, mixed=precision not in _WITHOUT_MASTER)
    traffic += 5.0 if precision == "fp8" else 0.0
    return parameters * traffic
