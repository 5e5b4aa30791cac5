"""What one GPU has of a layer under tensor, sequence, context and expert parallelism."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["WHOLE", "Dimension", "Message", "Shard"]

Dimension = Literal["tensor", "context", "expert", "expert_tensor"]
"""Groups of GPUs that talk within a block."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """How layers are divided over GPUs.

    Parameters
    ----------
    tensor
        GPUs that divide heads and inner widths.
    sequence
        Whether the rest is divided along the sequence by the tensor group.
    context
        GPUs that divide the sequence; causal work is balanced among them.
    context_exchange
        How they exchange keys and values.
    expert
        GPUs that divide the experts of a layer.
    expert_tensor
        GPUs that divide each expert.
    expert_dispatch
        How tokens get there: every copy on its own, or at most one for each GPU.
    expert_load
        Load of the busiest expert group over the mean: 1 is balanced.
    capacity_factor
        Token copies that an expert takes at most, over its balanced share; the rest is dropped.
        None: as many as come.

    **Checked by:** tests/cost/test_training_shards.py, tests/cost/test_training_experts.py.
    """

    tensor: int = 1
    sequence: bool = False
    context: int = 1
    context_exchange: Literal["ring", "all-gather"] = "ring"
    expert: int = 1
    expert_tensor: int = 1
    expert_dispatch: Literal["all-to-all", "deduplicated"] = "all-to-all"
    expert_load: float = 1.0
    capacity_factor: float | None = None

    @property
    def divides_sequence(self) -> bool:
        """Whether sequence parallelism divides anything."""
        return self.sequence and self.tensor > 1

    @property
    def residual_parts(self) -> int:
        """Parts that the tokens of the residual stream are in: context × tensor or context alone."""
        return self.context * (self.tensor if self.divides_sequence else 1)

    @property
    def busiest_load(self) -> float:
        """What the busiest expert group computes, over the balanced share of all token copies."""
        return (
            self.expert_load if self.capacity_factor is None else min(self.expert_load, self.capacity_factor)
        )


WHOLE = Shard()
"""One GPU has everything."""


@dataclass(frozen=True, slots=True)
class Message:
    """A collective that a block needs in one pass over one micro-batch.

    Parameters
    ----------
    dimension
        Which group runs it: `tensor`, `context`, `expert` or `expert_tensor`.
    collective, size_bytes
        Kind and size, as `clustersim.collectives.Communicator` counts it.
    count
        How often.
    hideable_s
        Seconds of computation that all of it can run beside where the framework overlaps them: the
        product before or after it; for `expert`, work of another micro-batch.
    asynchronous_s
        The part of `hideable_s` that it runs beside in any case, because the framework launches
        it as an asynchronous call: gradients of inputs and gathered inputs of tensor
        parallelism beside the products of the backward pass (Megatron-LM), passes of a ring.
    beside_weights
        Whether what it runs beside are the gradients of weights, which schedules may put off.
    """

    dimension: Dimension
    collective: str
    size_bytes: float
    count: int = 1
    hideable_s: float = 0.0
    asynchronous_s: float = 0.0
    beside_weights: bool = False
