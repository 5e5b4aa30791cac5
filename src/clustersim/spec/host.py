"""What a scenario may say about hosts that launch a training job's kernels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.spec._base import LIST, SpecModel
from clustersim.units import TimeQuantity

__all__ = ["HostSpec"]


class HostSpec(SpecModel):
    """A framework that launches kernel after kernel, ahead of the GPU."""

    kernel_launch: TimeQuantity | None = None
    """Of the host for each kernel. Default: `kernel_launch` of the accelerator's hosts."""
    product_factor: Annotated[float, Field(ge=0.0)] = 1.0
    """How many times that for a matrix product, the cast to fp8 before it, or attention: 2.7 behind modules
    of Transformer Engine (its issue 2053: 99.7 against 37.1 us on GB200, 90.5 against 33.2 on GH200)."""
    launch: Literal["asynchronous", "blocking"] = "asynchronous"
    """`blocking`: no kernel is launched before the one ahead has ended (CUDA_LAUNCH_BLOCKING=1), and nothing
    runs beside kernels of a pass."""
    captured: Annotated[tuple[Literal["attention", "routing", "experts"], ...], LIST] = ()
    """Parts of layers that are replayed as CUDA graphs and cost the host nothing; with `experts` it never
    waits for counts of tokens either."""
