"""What the metrics and columns of a training job mean."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.columns import ColumnInfo, MetricInfo

__all__ = ["METRICS", "TABLES"]

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("iteration_s", "s", "Time of one optimizer step.", "lower"),
    MetricInfo("compute_s", "s", "Kernels per iteration, mean over ranks, without launch gaps.", "lower"),
    MetricInfo(
        "exposed_communication_s",
        "s",
        "From the end of the backward pass to that of the last all-reduce.",
        "lower",
    ),
    MetricInfo(
        "host_s", "s", "GPU idle because the host launches kernels too slowly, per iteration.", "lower"
    ),
    MetricInfo("waiting_s", "s", "Mean over ranks of the wait for the slowest rank, per iteration.", "lower"),
    MetricInfo(
        "forward_s", "s", "Forward passes of one iteration, mean over ranks, launch gaps included.", "lower"
    ),
    MetricInfo(
        "backward_s", "s", "Backward passes of one iteration, mean over ranks, launch gaps included.", "lower"
    ),
    MetricInfo("optimizer_s", "s", "Update of the weights.", "lower"),
    MetricInfo(
        "communication_s", "s", "All-reduces of one iteration, hidden behind compute or not.", "lower"
    ),
    MetricInfo("samples_per_s", "1/s", "Samples of all replicas per second.", "higher"),
    MetricInfo("tokens_per_s", "1/s", "Tokens of all replicas per second; transformers only.", "higher"),
    MetricInfo(
        "scaling_efficiency",
        "1",
        "Throughput over that of as many GPUs without communication and jitter.",
        "higher",
    ),
    MetricInfo(
        "bus_bandwidth_bytes_per_s",
        "B/s",
        "Bus bandwidth of all all-reduces together, in the convention of nccl-tests: bytes over time.",
        "higher",
    ),
    MetricInfo("mfu", "1", "Model FLOPs (no recomputation) over peak FLOPs of the precision.", "higher"),
    MetricInfo("memory_bytes", "B", "Memory that the job takes on each GPU.", "lower"),
)
"""Metrics of a training job; means over its complete iterations."""

TABLES: Mapping[str, tuple[ColumnInfo, ...]] = {
    "iterations": (
        ColumnInfo("iteration", "", "Number of the optimizer step, from 0."),
        ColumnInfo("start_s", "s", "When its first forward pass began."),
        ColumnInfo("duration_s", "s", "To the end of the optimizer step."),
        ColumnInfo("compute_s", "s", "Kernels, mean over ranks, without launch gaps."),
        ColumnInfo(
            "exposed_communication_s",
            "s",
            "From the end of the backward pass to that of the last all-reduce.",
        ),
        ColumnInfo("host_s", "s", "GPU idle because the host launches kernels too slowly."),
        ColumnInfo("waiting_s", "s", "Mean over ranks of the wait for the slowest rank."),
        ColumnInfo("forward_s", "s", "Forward passes, mean over ranks, launch gaps included."),
        ColumnInfo("backward_s", "s", "Backward passes, mean over ranks, launch gaps included."),
        ColumnInfo("optimizer_s", "s", "Update of the weights, launch gaps included."),
        ColumnInfo("communication_s", "s", "All-reduces, hidden behind compute or not."),
        ColumnInfo("samples_per_s", "1/s", "Global batch over duration."),
        ColumnInfo("trace_row", "", "Row of its optimizer step in the trace; -1 where no trace is kept."),
    )
}
"""Tables of a training job: name to columns."""
