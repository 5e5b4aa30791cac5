"""What the metrics and table columns of a ranking service mean."""

from __future__ import annotations

from clustersim.workloads.columns import NEED_METRICS, ColumnInfo, MetricInfo

__all__ = ["METRICS", "TABLES"]

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("latency_s", "s", "From the arrival of a query to the end of its last piece.", "lower"),
    MetricInfo("queue_s", "s", "Of that, waiting in the replica's queue for the first worker.", "lower"),
    MetricInfo(
        "queries_per_s",
        "1/s",
        "Queries answered per second after the warm-up.",
        "higher",
    ),
    MetricInfo("samples_per_s", "1/s", "Candidates of these queries, per second.", "higher"),
    MetricInfo("goodput_per_s", "1/s", "Of these queries, those within the objective.", "higher"),
    MetricInfo("slo_attainment", "1", "Share of queries within the objective.", "higher"),
    MetricInfo(
        "queue_growth_per_s",
        "1/s",
        "Queries that arrived less those answered, in the second half of the time in which queries arrived, "
        "per second.",
        "lower",
    ),
    MetricInfo(
        "overloaded", "1", "1 where that is more than chance: the queue grows without bound.", "lower"
    ),
    MetricInfo("batch_samples", "samples", "Samples of a batch, after the warm-up.", "neither"),
    MetricInfo("batch_queries", "queries", "Pieces of queries in a batch, after the warm-up.", "neither"),
    MetricInfo("batches", "1", "Batches that ended after the warm-up.", "neither"),
    MetricInfo(
        "utilization", "1", "Share of the time in which devices ran kernels, mean over devices.", "neither"
    ),
    MetricInfo(
        "hit_rate", "1", "Share of look-ups that find their row in the GPU's cache of rows.", "higher"
    ),
    MetricInfo("power_w", "W", "Of the service at the meter: GPUs, hosts and data centre.", "lower"),
    MetricInfo("joules_per_query", "J", "Power over queries per second.", "lower"),
    MetricInfo("price_usd_per_h", "USD/h", "Of the GPUs that the service holds.", "lower"),
    MetricInfo("usd_per_million_queries", "USD", "That price over queries answered.", "lower"),
    MetricInfo("queries_sent", "queries", "Queries that arrived, warm-up left out.", "neither"),
    MetricInfo("queries_sent_per_s", "1/s", "Them over the time from the first to the last.", "neither"),
    MetricInfo("queries_finished", "queries", "Queries that were answered, warm-up left out.", "higher"),
    MetricInfo("queries_unfinished", "queries", "Queries without an answer when the run ended.", "lower"),
    MetricInfo("memory_bytes", "B", "Tables, layers and batches on the fullest GPU.", "lower"),
    MetricInfo(
        "pool_latency_s",
        "s",
        "Of a stage, by name (`rank`: the service's own model, `variant`: an experiment's): from the end of "
        "the stage before to the last score here.",
        "lower",
    ),
    MetricInfo(
        "pool_attainment",
        "1",
        "Share of queries whose time in a stage is within its share of the objective.",
        "higher",
    ),
    MetricInfo("pool_batch_samples", "samples", "Mean samples of a stage's batches.", "neither"),
    MetricInfo(
        "pool_utilization", "1", "Share of the time in which a stage's devices ran kernels.", "neither"
    ),
    MetricInfo("experiment_share", "1", "Share of the queries that the variant ranked.", "neither"),
    MetricInfo(
        "experiment_latency_s",
        "s",
        "Mean or p99 of `control` and `variant`, their `difference` (variant less control) and the `low` and "
        "`high` limit of its 95 % confidence interval, by sectioning.",
        "lower",
    ),
    MetricInfo("experiment_engagement", "1", "The same of the share of queries with a click.", "higher"),
    MetricInfo(
        "experiment_usd_per_million_queries",
        "USD",
        "Of each model's GPUs over the queries it ranked.",
        "lower",
    ),
    MetricInfo("pushes", "1", "Pushes of new weights that ended on a replica.", "neither"),
    MetricInfo("push_s", "s", "From the begin of a push to its end on the last replica, mean.", "lower"),
    MetricInfo("push_replica_s", "s", "What a push takes for one replica, mean.", "lower"),
    MetricInfo("push_bytes", "B", "That a push brings to all replicas over the network, mean.", "neither"),
    MetricInfo(
        "push_latency_s",
        "s",
        "Of queries that arrived `during` a push, and `between` pushes.",
        "lower",
    ),
    *NEED_METRICS,
)
"""Statistics follow the name: `latency_s.p99`, `batch_samples.mean`."""

_QUERY_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("query", "", "Number in the order of arrival."),
    ColumnInfo("replica", "", "Which replica served it."),
    ColumnInfo("counted", "", "Whether metrics count it: it arrived after the warm-up."),
    ColumnInfo("arrival_s", "s", "Arrival."),
    ColumnInfo("candidates", "samples", "Candidates to rank."),
    ColumnInfo("submitted_s", "s", "When the host had taken it in and it stood in a replica's queue."),
    ColumnInfo("dispatched_s", "s", "When the batch of its first piece began."),
    ColumnInfo("finish_s", "s", "End of its last piece; NaN for a query that was not answered."),
    ColumnInfo("queue_s", "s", "Waiting for the first worker, in all pools that it went to."),
    ColumnInfo("latency_s", "s", "finish − arrival."),
    ColumnInfo(
        "queueing_share",
        "1",
        "Share of latency in which it, or its last batch, waited for others.",
    ),
    ColumnInfo("compute_share", "1", "Share of latency in which arithmetic held that batch."),
    ColumnInfo("memory_bandwidth_share", "1", "Share of latency in which GPU memory held that batch."),
    ColumnInfo("network_bandwidth_share", "1", "Share of latency in which links' bandwidth held it."),
    ColumnInfo("network_latency_share", "1", "Share of latency in which network latency held it."),
    ColumnInfo("storage_share", "1", "Share of latency in which a drive held it."),
    ColumnInfo("host_share", "1", "Share of latency in which the host held it, before and in its batch."),
)

_BATCH_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("pool", "", "Which pool; of a service with several."),
    ColumnInfo("replica", "", "Which replica."),
    ColumnInfo("worker", "", "Which of its workers."),
    ColumnInfo("samples", "samples", "Candidates in the batch."),
    ColumnInfo("queries", "queries", "Pieces of queries in it."),
    ColumnInfo("start_s", "s", "When it left the queue."),
    ColumnInfo("end_s", "s", "When its results were there."),
    ColumnInfo("waited_s", "s", "Of that, waiting for copies and kernels of other batches."),
    ColumnInfo("kernels_s", "s", "Time of its kernels on the device."),
)

_STATISTIC_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("metric", "", "`latency_s` or `queue_s`."),
    ColumnInfo("statistic", "", "`mean`, `p50`, `p90`, `p95`, `p99` or `p99.9`."),
    ColumnInfo("value", "s", "As among the metrics."),
    ColumnInfo("low", "s", "Lower limit of the 95 % confidence interval, by batch means; empty: too few."),
    ColumnInfo("high", "s", "Upper limit of it; empty: too few, or beyond all samples."),
    ColumnInfo("samples", "", "Queries that it was made of."),
)

_VISIT_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("pool", "", "Stage, `rank` or `variant`."),
    ColumnInfo("query", "", "Whose visit: number in `queries`."),
    ColumnInfo("replica", "", "Which replica of the pool."),
    ColumnInfo("candidates", "samples", "Candidates that were left."),
    ColumnInfo("begin_s", "s", "End of the stage before; arrival, in the first."),
    ColumnInfo("submitted_s", "s", "When it stood in the queue of the replica."),
    ColumnInfo("dispatched_s", "s", "When the batch of its first piece began."),
    ColumnInfo("finish_s", "s", "End of its last piece here; NaN for one that is not over."),
)

_PUSH_COLUMNS: tuple[ColumnInfo, ...] = (
    ColumnInfo("push", "", "Number of the push."),
    ColumnInfo("replica", "", "Which replica of the service's own model."),
    ColumnInfo("start_s", "s", "Begin, for this replica."),
    ColumnInfo("end_s", "s", "When it ranked with the new weights alone."),
    ColumnInfo("size_bytes", "B", "That came over the network."),
)

TABLES: dict[str, tuple[ColumnInfo, ...]] = {
    "queries": _QUERY_COLUMNS,
    "batches": _BATCH_COLUMNS,
    "statistics": _STATISTIC_COLUMNS,
    "visits": _VISIT_COLUMNS,
    "pushes": _PUSH_COLUMNS,
}
