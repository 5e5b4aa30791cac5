"""KV that went from one replica to another, request by request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.workloads.inference.requests import Request

__all__ = ["kv_transfer_table"]


def kv_transfer_table(requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """Return one row per transfer; see `columns.KV_TRANSFER_COLUMNS`."""
    moved = [(request, request.handover) for request in requests if request.handover is not None]
    return {
        "request": np.array([request.index for request, _ in moved], dtype=np.int64),
        "from_replica": np.array([way.replica for _, way in moved], dtype=np.int64),
        "to_replica": np.array([request.replica for request, _ in moved], dtype=np.int64),
        "arrived_s": np.array([way.arrived_s for _, way in moved]),
        "transfer_s": np.array([way.transfer_s for _, way in moved]),
        "exposed_s": np.array([way.exposed_s for _, way in moved]),
        "size_bytes": np.array([way.size_bytes for _, way in moved]),
        "trace_row": np.array([way.row for _, way in moved], dtype=np.int64),
    }
