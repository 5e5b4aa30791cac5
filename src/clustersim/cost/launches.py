"""What the host of a GPU takes to launch the kernels of a pass one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from clustersim.cost.operators import Operator

__all__ = ["NO_HOST", "HostTimes", "LaunchTimes"]

_BLOCKING_WAIT_S = 5.8e-6
"""What waiting for the end of each kernel adds to a stream of short ones: 9.6 us from one to the next in
place of 3.8 us (Gray, "Getting Started with CUDA Graphs", NVIDIA developer blog, 2019; V100, from memory)."""

_LIBRARY_CALLS = frozenset({"gemm", "conv", "attention_prefill", "attention_backward"})


@dataclass(frozen=True, kw_only=True)
class LaunchTimes:
    """Seconds of the host for each kernel that it launches: Python, dispatch, autograd, driver.

    Parameters
    ----------
    kernel_s
        For one that memory bounds: an operation of the framework.
    product_s
        For a matrix product, the cast to fp8 before it, or attention: a call of a library, behind a module of
        the framework.
    blocking
        Whether no kernel is launched before the one ahead has ended (CUDA_LAUNCH_BLOCKING=1).
    host_speed
        Of the host that waits, against one as it is built; the two times above are its own.

    **Source:** `Accelerator.sources["kernel_launch"]`. **Checked by:** tests/cost/test_launches.py.
    """

    kernel_s: float
    product_s: float
    blocking: bool = False
    host_speed: float = 1.0

    def seconds(self, operators: Iterable[Operator]) -> float:
        """Return what the host takes to launch all kernels of some operators."""
        wait_s = _BLOCKING_WAIT_S / self.host_speed if self.blocking else 0.0
        return sum(
            each.launches
            * round(each.count)
            * (wait_s + (self.product_s if _is_call(each) else self.kernel_s))
            for each in operators
        )


def _is_call(operator: Operator) -> bool:
    return operator.kind in _LIBRARY_CALLS or operator.name.endswith("cast")


class HostTimes(NamedTuple):
    """Seconds of the host for the passes of a block, and what waiting for a result costs.

    Parameters
    ----------
    forward, recompute, backward_input, backward_weight
        As the times of `clustersim.cost.training.layer_cost.LayerCost`.
    restart_s
        How long the device is idle when the host goes on after the waits of the forward pass, until the
        first kernel behind each has come; 0 for a host that waits for nothing.
    blocking
        Whether it waits behind every kernel.
    """

    forward: float = 0.0
    recompute: float = 0.0
    backward_input: float = 0.0
    backward_weight: float = 0.0
    restart_s: float = 0.0
    blocking: bool = False


NO_HOST = HostTimes()
"""Of a host that takes no time."""
