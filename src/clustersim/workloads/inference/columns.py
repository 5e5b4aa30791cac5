"""What the metrics and table columns of an inference service mean."""

from __future__ import annotations

from clustersim.workloads.columns import ColumnInfo, MetricInfo

__all__ = ["METRICS", "REQUEST_COLUMNS", "STEP_COLUMNS", "TABLES"]

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("ttft_s", "s", "Time to first token: from arrival to the end of the prefill.", "lower"),
    MetricInfo(
        "tpot_s", "s", "Mean time per output token after the first, of requests with two or more.", "lower"
    ),
    MetricInfo("e2e_s", "s", "From arrival to the last token.", "lower"),
    MetricInfo("queue_s", "s", "From arrival to the first step that computes some of the prompt.", "lower"),
    MetricInfo(
        "requests_per_s",
        "1/s",
        "Requests answered per second after the warm-up, whenever they arrived.",
        "higher",
    ),
    MetricInfo(
        "input_tokens_per_s",
        "1/s",
        "Prompt tokens of the requests answered after the warm-up, per second.",
        "higher",
    ),
    MetricInfo(
        "output_tokens_per_s",
        "1/s",
        "Generated tokens of the requests answered after the warm-up, per second.",
        "higher",
    ),
    MetricInfo("slo_attainment", "1", "Share of requests that kept all objectives given.", "higher"),
    MetricInfo(
        "kv_occupancy",
        "1",
        "Share of the KV blocks in use, from the end of the warm-up to the last step.",
        "neither",
    ),
    MetricInfo("batch", "requests", "Requests in an engine step after the warm-up.", "neither"),
    MetricInfo(
        "utilization",
        "1",
        "Share of that time in which engines ran steps, mean over replicas.",
        "neither",
    ),
    MetricInfo("requests_sent", "requests", "Requests that arrived, warm-up left out.", "neither"),
    MetricInfo("requests_finished", "requests", "Requests that were answered, warm-up left out.", "higher"),
    MetricInfo("requests_unfinished", "requests", "Requests without an answer when the run ended.", "lower"),
    MetricInfo("preemptions", "1", "Times a request lost its KV blocks and was computed again.", "lower"),
)
"""Statistics follow the name: `ttft_s.p99`, `kv_occupancy.max`, `batch.mean`."""

REQUEST_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("request", "", "Number in the order of sending."),
    ColumnInfo("replica", "", "Which replica served it."),
    ColumnInfo("counted", "", "Whether metrics count it: it arrived after the warm-up."),
    ColumnInfo("arrival_s", "s", "Arrival."),
    ColumnInfo("prompt_tokens", "tokens", "Length of the prompt."),
    ColumnInfo("output_tokens", "tokens", "Length of the answer."),
    ColumnInfo("admitted_s", "s", "Start of the first step that computed some of the prompt."),
    ColumnInfo("first_token_s", "s", "When the first token was out."),
    ColumnInfo("finish_s", "s", "When the last token was out; NaN for a request that was not finished."),
    ColumnInfo("queue_s", "s", "admitted − arrival."),
    ColumnInfo("ttft_s", "s", "first token − arrival."),
    ColumnInfo("tpot_s", "s", "(finish − first token) / (output − 1)."),
    ColumnInfo("e2e_s", "s", "finish − arrival."),
    ColumnInfo("preemptions", "", "Times it lost its KV blocks."),
    ColumnInfo("trace_row", "", "Row of the trace with which it finished; −1 for none."),
    ColumnInfo(
        "queueing_share", "1", "Share of e2e in which it waited for admission, first or after a preemption."
    ),
    ColumnInfo("compute_share", "1", "Share of e2e in which its engine was held by arithmetic."),
    ColumnInfo(
        "memory_bandwidth_share", "1", "Share of e2e in which its engine was held by GPU memory bandwidth."
    ),
    ColumnInfo(
        "network_bandwidth_share", "1", "Share of e2e in which its engine was held by links' bandwidth."
    ),
    ColumnInfo("network_latency_share", "1", "Share of e2e in which its engine was held by network latency."),
    ColumnInfo(
        "host_share", "1", "Share of e2e in which its engine was held by host work and kernel launches."
    ),
)

STEP_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("replica", "", "Which replica."),
    ColumnInfo("start_s", "s", "Start of the step, or of a run of alike decode steps."),
    ColumnInfo("end_s", "s", "End of it."),
    ColumnInfo("steps", "", "Steps in the run."),
    ColumnInfo("batch", "requests", "Requests in each of the steps."),
    ColumnInfo("tokens", "tokens", "Tokens computed, prompts and decodes, all steps together."),
    ColumnInfo("kv_used_fraction", "1", "Share of the KV blocks in use at the end."),
    ColumnInfo("queue_length", "requests", "Requests waiting at the end."),
)

TABLES: dict[str, tuple[ColumnInfo, ...]] = {"requests": REQUEST_COLUMNS, "steps": STEP_COLUMNS}
"""Columns of each table of `Outcome.tables`."""
