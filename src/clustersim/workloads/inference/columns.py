"""What the metrics and table columns of an inference service mean."""

from __future__ import annotations

from clustersim.workloads.columns import NEED_METRICS, ColumnInfo, MetricInfo

__all__ = [
    "FLEET_COLUMNS",
    "INTER_TOKEN_COLUMNS",
    "METRICS",
    "REQUEST_COLUMNS",
    "STATISTIC_COLUMNS",
    "STEP_COLUMNS",
    "TABLES",
]

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("ttft_s", "s", "Time to first token: from arrival to the end of the prefill.", "lower"),
    MetricInfo(
        "tpot_s", "s", "Mean time per output token after the first, of requests with two or more.", "lower"
    ),
    MetricInfo(
        "itl_s",
        "s",
        "Time between two tokens of a request, over all tokens: pauses for others' prompts and for "
        "preemption included. A step of speculative decoding counts as one token.",
        "lower",
    ),
    MetricInfo("e2e_s", "s", "From arrival to the last token.", "lower"),
    MetricInfo("normalized_s", "s", "Normalised latency: e2e over output tokens.", "lower"),
    MetricInfo("queue_s", "s", "From arrival to the first step that computes some of the prompt.", "lower"),
    MetricInfo(
        "requests_per_s",
        "1/s",
        "Requests answered per second after the warm-up, whenever they arrived.",
        "higher",
    ),
    MetricInfo("goodput_per_s", "1/s", "Of these, requests that kept all objectives given.", "higher"),
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
        "queue_growth_per_s",
        "1/s",
        "Requests that arrived less those answered, in the second half of the time in which requests "
        "arrived, per second.",
        "lower",
    ),
    MetricInfo(
        "overloaded", "1", "1 where that is more than chance: the queue grows without bound.", "lower"
    ),
    MetricInfo(
        "overload_after_s",
        "s",
        "From the opening to when a growing queue makes requests wait longer than the TTFT objective.",
        "higher",
    ),
    MetricInfo(
        "kv_occupancy",
        "1",
        "Share of the KV blocks in use, from the end of the warm-up to the last step.",
        "neither",
    ),
    MetricInfo(
        "cache_hit_rate",
        "1",
        "Share of the prompt tokens whose KV was found in a cache when the request was first admitted.",
        "higher",
    ),
    MetricInfo("batch", "requests", "Requests in an engine step after the warm-up.", "neither"),
    MetricInfo(
        "utilization",
        "1",
        "Share of that time in which engines ran steps, mean over replicas.",
        "neither",
    ),
    MetricInfo(
        "mfu",
        "1",
        "Model FLOPs utilisation over that time, idle time included: FLOPs of all steps over the peak of "
        "all GPUs.",
        "higher",
    ),
    MetricInfo(
        "mbu", "1", "Memory bandwidth utilisation, likewise: bytes of weights, activations and KV.", "higher"
    ),
    MetricInfo("power_w", "W", "Of the service at the meter: GPUs, hosts and data centre.", "lower"),
    MetricInfo("joules_per_output_token", "J", "Power over output tokens per second.", "lower"),
    MetricInfo("price_usd_per_h", "USD/h", "Of the GPUs that the service holds, on average.", "lower"),
    MetricInfo(
        "usd_per_million_output_tokens", "USD", "That price over output tokens, prompts for free.", "lower"
    ),
    MetricInfo("usd_per_million_tokens", "USD", "That price over prompt and output tokens alike.", "lower"),
    MetricInfo("usd_per_million_requests", "USD", "That price over requests answered.", "lower"),
    MetricInfo("gpu_hours", "h", "GPUs held, times how long.", "lower"),
    MetricInfo(
        "kv_transfer_s", "s", "Time in which a prompt's KV moves to the replica that answers.", "lower"
    ),
    MetricInfo("kv_exposed_s", "s", "Of that, what the request waits for after its first token.", "lower"),
    MetricInfo("requests_sent", "requests", "Requests that arrived, warm-up left out.", "neither"),
    MetricInfo("requests_sent_per_s", "1/s", "Them over the time from the first to the last.", "neither"),
    MetricInfo("requests_finished", "requests", "Requests that were answered, warm-up left out.", "higher"),
    MetricInfo("requests_unfinished", "requests", "Requests without an answer when the run ended.", "lower"),
    MetricInfo("requests_lost", "requests", "Requests given up after too many failures.", "lower"),
    MetricInfo("retries", "1", "Times that a request was sent or computed again after a failure.", "lower"),
    MetricInfo("preemptions", "1", "Times a request lost its KV blocks and was computed again.", "lower"),
    MetricInfo(
        "memory_bytes",
        "B",
        "Weights, activations and the KV that was in use at the most, on the fullest GPU.",
        "lower",
    ),
    *NEED_METRICS,
)
"""Statistics follow the name: `ttft_s.p99`, `kv_occupancy.max`, `batch.mean`; of a service with tenants
there is each metric of requests for each tenant, too: `ttft_s.NAME.p99`, `goodput_per_s.NAME`."""

REQUEST_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("request", "", "Number in the order of sending."),
    ColumnInfo("replica", "", "Which replica served it."),
    ColumnInfo("counted", "", "Whether metrics count it: it arrived after the warm-up."),
    ColumnInfo("arrival_s", "s", "Arrival."),
    ColumnInfo("prompt_tokens", "tokens", "Length of the prompt."),
    ColumnInfo("output_tokens", "tokens", "Length of the answer."),
    ColumnInfo("cached_tokens", "tokens", "Prompt tokens found in a cache at its first admission."),
    ColumnInfo("tenant", "", "Whose it is; of a service with tenants."),
    ColumnInfo("admitted_s", "s", "Start of the first step that computed some of the prompt."),
    ColumnInfo("first_token_s", "s", "When the first token was out."),
    ColumnInfo("finish_s", "s", "When the last token was out; NaN for a request that was not finished."),
    ColumnInfo("queue_s", "s", "admitted − arrival."),
    ColumnInfo("ttft_s", "s", "first token − arrival."),
    ColumnInfo("tpot_s", "s", "(finish − first token) / (output − 1)."),
    ColumnInfo("e2e_s", "s", "finish − arrival."),
    ColumnInfo("normalized_s", "s", "e2e / output tokens."),
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
    ColumnInfo("storage_share", "1", "Share of e2e in which its KV was read from a drive."),
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
    ColumnInfo("decodes", "requests", "Of these, requests that get a token by decoding."),
    ColumnInfo("tokens", "tokens", "Tokens computed, prompts and decodes, all steps together."),
    ColumnInfo("kv_used_fraction", "1", "Share of the KV blocks in use at the end."),
    ColumnInfo("queue_length", "requests", "Requests waiting at the end."),
    ColumnInfo("mfu", "1", "FLOPs over the peak of the replica's GPUs."),
    ColumnInfo("mbu", "1", "Bytes moved over the memory bandwidth of the replica's GPUs."),
)

STATISTIC_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("tenant", "", "Whose requests; empty for all."),
    ColumnInfo("metric", "", "Which latency: `ttft_s`, `itl_s`, …"),
    ColumnInfo("statistic", "", "`mean`, `p50`, `p90`, `p99` or `p99.9`."),
    ColumnInfo("value", "s", "As among the metrics."),
    ColumnInfo("low", "s", "Lower limit of the 95 % confidence interval, by batch means; empty: too few."),
    ColumnInfo("high", "s", "Upper limit of it; empty: too few, or beyond all samples."),
    ColumnInfo("samples", "", "Requests, or tokens, that it was made of."),
)

INTER_TOKEN_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("itl_s", "s", "A time between two tokens of a request."),
    ColumnInfo("share", "1", "Share of all tokens after the first that came no later after the one before."),
)

FLEET_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("time_s", "s", "When."),
    ColumnInfo("event", "", "`start`, `ready`, `drain`, `stop`, `fail` or `recover`; see docs/fleet.md."),
    ColumnInfo("replica", "", "Which replica."),
)

KV_TRANSFER_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("request", "", "Number in the order of sending."),
    ColumnInfo("from_replica", "", "Who computed the prompt."),
    ColumnInfo("to_replica", "", "Who answers."),
    ColumnInfo("arrived_s", "s", "When all KV had come."),
    ColumnInfo("transfer_s", "s", "From the first byte sent to that."),
    ColumnInfo("exposed_s", "s", "What the request waited for of it, from its first token on."),
    ColumnInfo("size_bytes", "B", "Bytes sent."),
    ColumnInfo("trace_row", "", "Row of the trace that stands for the exposed part; −1 for none."),
)

CACHE_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("replica", "", "Which replica."),
    ColumnInfo("time_s", "s", "When a request left the replica; of many, evenly chosen ones."),
    ColumnInfo("prompt_tokens", "tokens", "Tokens of all prompts admitted so far."),
    ColumnInfo("found_tokens", "tokens", "Of these, found in GPU memory."),
    ColumnInfo("fetched_tokens", "tokens", "Of these, fetched from lower tiers."),
    ColumnInfo("evicted_blocks", "blocks", "KV blocks evicted from GPU memory so far."),
    ColumnInfo("gpu_held_fraction", "1", "Share of the KV blocks that running requests hold."),
    ColumnInfo("gpu_idle_fraction", "1", "Share of the KV blocks that are kept for others."),
    ColumnInfo("host_used_fraction", "1", "Share of the host tier that is full; empty: there is none."),
    ColumnInfo("nvme_used_fraction", "1", "Share of the drives' tier that is full; empty: there is none."),
    ColumnInfo("remote_used_fraction", "1", "Share of the remote store that is full; empty: there is none."),
)

TABLES: dict[str, tuple[ColumnInfo, ...]] = {
    "requests": REQUEST_COLUMNS,
    "steps": STEP_COLUMNS,
    "statistics": STATISTIC_COLUMNS,
    "inter_token": INTER_TOKEN_COLUMNS,
    "fleet": FLEET_COLUMNS,
    "kv_transfers": KV_TRANSFER_COLUMNS,
    "kv_cache": CACHE_COLUMNS,
}
"""Columns of each table of `Outcome.tables`."""
