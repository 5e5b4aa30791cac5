"""Names of metrics as people say them, and what pictures and tables share about them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.report.numbers import percent

__all__ = [
    "BREAKDOWN",
    "EXPOSED",
    "LATENCIES",
    "LATENCY_COLORS",
    "LATENCY_SHORT",
    "LATENCY_WORDS",
    "QUERY_LATENCIES",
    "RANKING_BREAKDOWN",
    "counted",
    "sharers",
]

BREAKDOWN = (
    ("compute_s", "compute"),
    ("bubble_s", "pipeline bubble"),
    ("exposed_communication_s", "exposed communication"),
    ("host_s", "host"),
    ("data_stall_s", "waiting for samples"),
    ("waiting_s", "waiting for slower ranks"),
)
"""Parts of an iteration, as metrics and in words; they add up to its duration."""

EXPOSED = (
    ("exposed_tensor_s", "tensor parallelism"),
    ("exposed_context_s", "context parallelism"),
    ("exposed_expert_s", "expert parallelism"),
    ("exposed_pipeline_s", "pipeline parallelism"),
    ("exposed_data_s", "data parallelism"),
    ("exposed_offload_s", "offload to the host"),
)
"""Kinds of exposed communication, as metrics and in words; they add up to it."""

RANKING_BREAKDOWN = (
    ("dense_s", "dense part"),
    ("embedding_s", "look-ups and updates"),
    ("optimizer_s", "dense optimizer"),
    ("exposed_index_s", "exposed: indices"),
    ("exposed_forward_s", "exposed: pooled embeddings"),
    ("exposed_backward_s", "exposed: their gradients"),
    ("exposed_all_reduce_s", "exposed: sum of gradients"),
    ("exposed_host_rows_s", "exposed: rows in host memory"),
    ("host_s", "host"),
    ("input_stall_s", "waiting for samples"),
    ("waiting_s", "waiting for the slowest rank"),
)
"""Parts of a step of a ranking model, as metrics and in words; they add up to it."""

LATENCIES = (
    ("ttft_s", "time to first token"),
    ("tpot_s", "time per output token"),
    ("itl_s", "time between tokens"),
    ("e2e_s", "end to end"),
    ("queue_s", "of it in the queue"),
)
"""Latencies of a service, as metrics and in words."""

QUERY_LATENCIES = (("latency_s", "query, to its last score"), ("queue_s", "of it in the queue"))
"""Latencies of a ranking service, as metrics and in words."""

LATENCY_SHORT = {
    "itl_s": "ITL",
    "tpot_s": "TPOT",
    "ttft_s": "TTFT",
    "e2e_s": "end to end",
    "latency_s": "query",
    "queue_s": "of it in the queue",
}
LATENCY_WORDS = {
    "ttft_s": "time to\nfirst token",
    "tpot_s": "time per\noutput token",
    "e2e_s": "end to end",
    "latency_s": "latency",
    "queue_s": "of it in\nthe queue",
}
LATENCY_COLORS = {
    "itl_s": "#CCBB44",
    "tpot_s": "#228833",
    "ttft_s": "#4477AA",
    "e2e_s": "#AA3377",
    "latency_s": "#4477AA",
    "queue_s": "#AA3377",
}


_MOST_SHARERS = 3


def counted(table: Mapping[str, np.ndarray], column: str) -> np.ndarray:
    """Return the positive values of a latency column of the requests that metrics count."""
    if column not in table:
        return np.empty(0)
    values = np.asarray(table[column])
    chosen = np.isfinite(values) & (values > 0)
    if "counted" in table:
        chosen &= np.asarray(table["counted"], dtype=bool)
    return np.asarray(values[chosen])


def sharers(shared_by: Mapping[str, float]) -> str:
    """Write who moved the bytes of a link: `pretrain 72 %, chat 28 %`, or the one name."""
    total = sum(shared_by.values())
    if len(shared_by) < 2:
        return next(iter(shared_by), "")
    named = list(shared_by.items())[:_MOST_SHARERS]
    rest = f", {len(shared_by) - len(named)} more" if len(shared_by) > len(named) else ""
    return ", ".join(f"{name} {percent(size_bytes / total)}" for name, size_bytes in named) + rest
