"""What the metrics and columns of a training job of a ranking model mean."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.columns import NEED_METRICS, ColumnInfo, MetricInfo

__all__ = ["METRICS", "TABLES"]

_PARTS: tuple[tuple[str, str], ...] = (
    ("embedding_s", "Kernels of look-ups, of gradients of rows and of their update."),
    ("dense_s", "Kernels of the dense part, both passes."),
    ("optimizer_s", "Kernels of the dense part's optimizer."),
    ("exposed_index_s", "Wait for indices that travel, beyond what kernels hide."),
    (
        "exposed_forward_s",
        "Wait for pooled embeddings that travel, from when the last rank has sent its own.",
    ),
    ("exposed_backward_s", "Wait for their gradients that travel, from when the last rank has sent its own."),
    ("exposed_all_reduce_s", "Wait for the sum of the dense part's gradients."),
    (
        "input_stall_s",
        "Wait for samples that storage, processors or the link to the GPU have not brought yet.",
    ),
    ("exposed_host_rows_s", "Wait for rows of tables that lie in host memory."),
    ("host_s", "GPU idle because the host has not launched what comes next."),
    (
        "waiting_s",
        "Wait for the slowest rank: until it comes to an exchange or sum, or to the end of the step.",
    ),
)
"""Seconds of a step; they add up to it."""

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo(
        "iteration_s", "s", "Time of one step, from the end of the one before on the last rank.", "lower"
    ),
    *(MetricInfo(name, "s", f"Per step, mean over ranks: {text}", "lower") for name, text in _PARTS),
    MetricInfo("samples_per_s", "1/s", "Samples of all ranks per second.", "higher"),
    MetricInfo("memory_bytes", "B", "Memory that the job takes on the fullest GPU.", "lower"),
    MetricInfo(
        "embedding_imbalance",
        "1",
        "Kernels of tables on the rank that has most of them, over the mean of all ranks.",
        "lower",
    ),
    MetricInfo("index_bytes", "B", "Indices that a GPU sends in a step, mean over ranks.", "neither"),
    MetricInfo("forward_bytes", "B", "Pooled embeddings that a GPU sends, mean over ranks.", "neither"),
    MetricInfo("backward_bytes", "B", "Their gradients that a GPU sends, mean over ranks.", "neither"),
    MetricInfo("all_reduce_bytes", "B", "Gradients that are summed over ranks in a step.", "neither"),
    MetricInfo("kernels", "1", "Kernels and graphs that each host launches in a step.", "lower"),
    MetricInfo("host_bound_share", "1", "`host_s` over the step.", "lower"),
    MetricInfo(
        "hbm_utilization",
        "1",
        "Bytes through GPU memory over what it could move in the step, mean of ranks.",
        "higher",
    ),
    MetricInfo("mfu", "1", "Arithmetic of all kernels over peak of the dense part's precision.", "higher"),
    MetricInfo("power_w", "W", "Of the job at the meter: GPUs, hosts and data centre.", "lower"),
    MetricInfo("price_usd_per_h", "USD/h", "Of all GPUs of the job.", "lower"),
    MetricInfo("run_days", "d", "Time of a run over `economics.samples`.", "lower"),
    MetricInfo("run_energy_kwh", "kWh", "Energy of that run.", "lower"),
    MetricInfo("run_price_usd", "USD", "Price of that run.", "lower"),
    *NEED_METRICS,
)
"""Metrics of a training job of a ranking model."""

TABLES: Mapping[str, tuple[ColumnInfo, ...]] = {
    "iterations": (
        ColumnInfo("iteration", "", "Number of the step, from 0."),
        ColumnInfo(
            "start_s", "s", "When the step before ended; one that fills the pipeline comes before the first."
        ),
        ColumnInfo("duration_s", "s", "To the end of the step on all ranks."),
        *(ColumnInfo(name, "s", f"{text} Mean over ranks.") for name, text in _PARTS),
        ColumnInfo("samples_per_s", "1/s", "Samples of all ranks over duration."),
        ColumnInfo("slowest_rank", "", "Rank that ended last."),
        ColumnInfo("trace_row", "", "Row of what ended it in the trace; -1 where no trace is kept."),
    ),
    "ranks": (
        ColumnInfo("rank", "", "Number of the rank."),
        ColumnInfo("gpu", "", "Name of its GPU."),
        ColumnInfo("tables", "", "Tables, and parts of tables, on it."),
        ColumnInfo("lookups", "", "Rows that it looks up in a step."),
        ColumnInfo("forward_bytes", "B", "Pooled embeddings that it sends in a step."),
        ColumnInfo("hbm_bytes", "B", "Bytes through its memory in a step."),
        ColumnInfo("memory_bytes", "B", "Memory that the job takes on it."),
        *(ColumnInfo(name, "s", f"{text} Mean over steps.") for name, text in _PARTS),
    ),
    "memory": (
        ColumnInfo("rank", "", "Number of the rank."),
        ColumnInfo("use", "", "What for."),
        ColumnInfo("bytes", "B", "On its GPU."),
    ),
    "shards": (
        ColumnInfo("table", "", "Name of the table."),
        ColumnInfo("rank", "", "Rank that holds the shard; -1: every rank has one."),
        ColumnInfo("first_row", "", "First row of the table in it."),
        ColumnInfo("rows", "", "Rows in it."),
        ColumnInfo("first_column", "", "First column of the table in it."),
        ColumnInfo("columns", "", "Columns in it."),
        ColumnInfo("place", "", "Where its rows are: hbm, uvm-cached, uvm or host."),
    ),
    "tasks": (
        ColumnInfo("task", "", "What each rank does in a step, in the order of launches."),
        ColumnInfo("stream", "", "Tasks of a stream run one after the other."),
        ColumnInfo("ahead", "", "Steps before that of its batch in which it is launched."),
        ColumnInfo(
            "kernels", "", "Kernels or graphs that the host launches for it; 0 for what is no kernel."
        ),
        ColumnInfo("mean_s", "s", "What its kernels take, mean over ranks."),
        ColumnInfo("slowest_s", "s", "The same on the rank that has most to do."),
        ColumnInfo("launch_s", "s", "What the host takes to launch it."),
        ColumnInfo("bytes", "B", "What it moves, of all ranks together; of a sum, its buffer."),
    ),
}
"""Tables of a training job of a ranking model: name to columns."""
