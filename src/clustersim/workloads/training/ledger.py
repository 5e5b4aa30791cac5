"""Where the time of a lane goes in one iteration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from clustersim.workloads.training.program import ComputeKind

__all__ = ["CATEGORIES", "CATEGORY_OF_DIMENSION", "CATEGORY_OF_PASS", "Ledger", "PassRecord"]

CATEGORY_OF_DIMENSION: Mapping[str, str] = {
    "tensor": "exposed_tensor_s",
    "context": "exposed_context_s",
    "expert": "exposed_expert_s",
    "expert_tensor": "exposed_expert_s",
    "pipeline": "exposed_pipeline_s",
    "embedding": "exposed_pipeline_s",
    "data": "exposed_data_s",
    "expert_data": "exposed_data_s",
    "shard": "exposed_data_s",
    "expert_shard": "exposed_data_s",
    "replica_shard": "exposed_data_s",
    "expert_replica_shard": "exposed_data_s",
    "model": "exposed_data_s",
    "host_down": "exposed_offload_s",
    "host_up": "exposed_offload_s",
}
"""What a lane that waits for a collective of a dimension spends its time on."""

CATEGORIES = (
    "compute_s",
    "bubble_s",
    "exposed_tensor_s",
    "exposed_pipeline_s",
    "exposed_context_s",
    "exposed_expert_s",
    "exposed_data_s",
    "exposed_offload_s",
    "host_s",
    "data_stall_s",
    "waiting_s",
)
"""Each second of a lane belongs to one of them."""

CATEGORY_OF_PASS: Mapping[ComputeKind, str] = {
    "forward": "forward_s",
    "backward": "backward_s",
    "weight": "backward_s",
    "recompute": "backward_s",
    "optimizer": "optimizer_s",
    "teacher": "forward_s",
}


class PassRecord(NamedTuple):
    """When a lane computed a pass."""

    kind: str
    micro_batch: int
    chunk: int
    start_s: float
    end_s: float


@dataclass(slots=True)
class Ledger:
    """Seconds of one lane in one iteration, by what they were spent on.

    `seconds` holds `CATEGORIES`; `kernels` the compute and host seconds of them by kind of pass;
    `communication_s` all collectives and sends that the lane took part in, hidden or not.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 0.0))
    kernels: dict[str, float] = field(
        default_factory=lambda: {"forward_s": 0.0, "backward_s": 0.0, "optimizer_s": 0.0}
    )
    communication_s: float = 0.0
    passes: list[PassRecord] = field(default_factory=list)
