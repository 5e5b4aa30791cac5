"""What the metrics and columns of a training job mean."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.columns import ColumnInfo, MetricInfo

__all__ = ["COLUMNS", "METRICS"]

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("iteration_s", "s", "time of one optimizer step", "lower"),
    MetricInfo("compute_s", "s", "kernels per iteration, mean over ranks, without launch gaps", "lower"),
    MetricInfo("exposed_communication_s", "s", "from the end of the backward pass to that of the last all-reduce", "lower"),
    MetricInfo("host_s", "s", "GPU idle because the host launches kernels too slowly, per iteration", "lower"),
    MetricInfo("waiting_s", "s", "mean over ranks of the wait for the slowest rank, per iteration", "lower"),
    MetricInfo("forward_s", "s", "forward passes of one iteration, mean over ranks, launch gaps included", "lower"),
    MetricInfo("backward_s", "s", "backward passes of one iteration, mean over ranks, launch gaps included", "lower"),
    MetricInfo("optimizer_s", "s", "update of the weights", "lower"),
    MetricInfo("communication_s", "s", "all-reduces of one iteration, hidden behind compute or not", "lower"),
    MetricInfo("samples_per_s", "1/s", "samples of all replicas per second", "higher"),
    MetricInfo("tokens_per_s", "1/s", "tokens of all replicas per second; transformers only", "higher"),
    MetricInfo(
        "scaling_efficiency",
        "1",
        "throughput over that of as many GPUs without communication and jitter",
        "higher",
    ),
    MetricInfo(
        "bus_bandwidth_bytes_per_s",
        "B/s",
        "bus bandwidth of the all-reduces in the convention of nccl-tests, weighted by bytes",
        "higher",
    ),
    MetricInfo("mfu", "1", "model FLOPs (no recomputation) over peak FLOPs of the precision", "higher"),
    MetricInfo("memory_bytes", "B", "memory that the job takes on each GPU", "lower"),
)
"""Metrics of a training job; means over its complete iterations."""

COLUMNS: Mapping[str, tuple[ColumnInfo, ...]] = {
    "iterations": (
        ColumnInfo("iteration", "1", "number of the optimizer step, from 0"),
        ColumnInfo("start_s", "s", "when its first forward pass began"),
        ColumnInfo("duration_s", "s", "to the end of the optimizer step"),
        ColumnInfo("compute_s", "s", "kernels, mean over ranks, without launch gaps"),
        ColumnInfo("exposed_communication_s", "s", "from the end of the backward pass to that of the last all-reduce"),
        ColumnInfo("host_s", "s", "GPU idle because the host launches kernels too slowly"),
        ColumnInfo("waiting_s", "s", "mean over ranks of the wait for the slowest rank"),
        ColumnInfo("forward_s", "s", "forward passes, mean over ranks, launch gaps included"),
        ColumnInfo("backward_s", "s", "backward passes, mean over ranks, launch gaps included"),
        ColumnInfo("optimizer_s", "s", "update of the weights, launch gaps included"),
        ColumnInfo("communication_s", "s", "all-reduces, hidden behind compute or not"),
        ColumnInfo("samples_per_s", "1/s", "global batch over duration"),
    )
}
"""Tables of a training job: name to columns."""
