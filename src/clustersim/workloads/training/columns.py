"""What the metrics and columns of a training job mean."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.columns import NEED_METRICS, ColumnInfo, MetricInfo

__all__ = ["METRICS", "TABLES"]

_PARTS: tuple[tuple[str, str], ...] = (
    ("compute_s", "Kernels, without launch gaps; slower where collectives run beside them."),
    (
        "bubble_s",
        "Wait for other stages of the same replica that have not computed yet what is needed, or not ended.",
    ),
    ("exposed_tensor_s", "Collectives of tensor parallelism that no kernels hide."),
    ("exposed_pipeline_s", "Sends between stages that no kernels hide, and the sum of tied embeddings."),
    ("exposed_context_s", "Exchange of keys and values that no kernels hide."),
    ("exposed_expert_s", "Dispatch to and combination from experts that no kernels hide."),
    (
        "exposed_data_s",
        "Gradients, parameters and norms between replicas that no kernels hide, from when the last has come.",
    ),
    ("exposed_offload_s", "Transfers to and from the host's memory that no kernels hide."),
    ("exposed_communication_s", "Sum of the six: exposed communication."),
    ("host_s", "GPU idle because the host launches kernels too slowly, or updates the weights itself."),
    ("data_stall_s", "Wait for samples that storage or the host's processors have not delivered yet."),
    ("waiting_s", "Wait for slower ranks and replicas, and for a teacher on GPUs of its own."),
    ("forward_s", "Kernels of forward passes, launch gaps included."),
    ("backward_s", "Kernels of backward passes, launch gaps included."),
    ("optimizer_s", "Update of the weights, launch gaps included."),
    (
        "communication_s",
        "All collectives and sends that a lane takes part in, hidden or not; of those that closed forms add "
        "to passes, what they add.",
    ),
)
"""Seconds of an iteration, means over its lanes; they are metrics and columns."""

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("iteration_s", "s", "Time of one optimizer step.", "lower"),
    *(MetricInfo(name, "s", f"Per iteration: {text}", "lower") for name, text in _PARTS),
    MetricInfo("samples_per_s", "1/s", "Samples of all replicas per second.", "higher"),
    MetricInfo("tokens_per_s", "1/s", "Tokens of all replicas per second; transformers only.", "higher"),
    MetricInfo(
        "scaling_efficiency",
        "1",
        "Kernels alone over the iteration: throughput over that of as many GPUs without communication, "
        "bubbles and jitter.",
        "higher",
    ),
    MetricInfo(
        "bus_bandwidth_bytes_per_s",
        "B/s",
        "Bus bandwidth of all collectives between replicas, as nccl-tests has it: bytes over time.",
        "higher",
    ),
    MetricInfo(
        "mfu",
        "1",
        "Model FLOPs (no recomputation), attention over all pairs of tokens, over peak of the precision.",
        "higher",
    ),
    MetricInfo("mfu_causal", "1", "The same, attention over the pairs that the mask leaves.", "higher"),
    MetricInfo("hfu", "1", "Hardware FLOPs: as `mfu`, recomputed ones counted too.", "neither"),
    MetricInfo("hfu_causal", "1", "The same, attention over the pairs that the mask leaves.", "neither"),
    MetricInfo("power_w", "W", "Of the job at the meter: GPUs, hosts and data centre.", "lower"),
    MetricInfo("price_usd_per_h", "USD/h", "Of all GPUs of the job.", "lower"),
    MetricInfo("run_days", "d", "Time of a run over `economics.tokens` (or `samples`).", "lower"),
    MetricInfo("run_energy_kwh", "kWh", "Energy of that run.", "lower"),
    MetricInfo("run_price_usd", "USD", "Price of that run.", "lower"),
    MetricInfo("memory_bytes", "B", "Memory that the job takes on each GPU of its fullest stage.", "lower"),
    *NEED_METRICS,
)
"""Metrics of a training job; means over its complete iterations."""

TABLES: Mapping[str, tuple[ColumnInfo, ...]] = {
    "iterations": (
        ColumnInfo("iteration", "", "Number of the optimizer step, from 0."),
        ColumnInfo("start_s", "s", "When its first pass began."),
        ColumnInfo("duration_s", "s", "To the end of the optimizer step on all ranks."),
        *(ColumnInfo(name, "s", text) for name, text in _PARTS),
        ColumnInfo("samples_per_s", "1/s", "Global batch over duration."),
        ColumnInfo("trace_row", "", "Row of what ended it in the trace; -1 where no trace is kept."),
    ),
    "memory": (
        ColumnInfo("stage", "", "Pipeline stage."),
        ColumnInfo("use", "", "What for."),
        ColumnInfo("bytes", "B", "On each GPU of the stage, at the worst moment."),
    ),
    "stages": (
        ColumnInfo("stage", "", "Pipeline stage."),
        *(
            ColumnInfo(name, "s", f"{text} In the last iteration, mean over replicas.")
            for name, text in _PARTS
            if name not in ("exposed_communication_s", "forward_s", "backward_s", "optimizer_s")
            and name != "communication_s"
        ),
        ColumnInfo("stash", "", "Micro-batches (of each chunk) that it keeps activations of, at the most."),
        ColumnInfo("memory_bytes", "B", "Memory that the job takes on its GPUs."),
    ),
    "passes": (
        ColumnInfo("stage", "", "Pipeline stage."),
        ColumnInfo("replica", "", "Which lane of the stage; 0 alone where replicas are folded."),
        ColumnInfo("kind", "", "forward, backward, weight (gradients of weights alone) or optimizer."),
        ColumnInfo("micro_batch", "", "Number of the micro-batch; -1 for none."),
        ColumnInfo("chunk", "", "Which chunk of layers of the stage."),
        ColumnInfo("start_s", "s", "When it began, in the last iteration that was simulated."),
        ColumnInfo("end_s", "s", "When it ended."),
    ),
}
"""Tables of a training job: name to columns."""
