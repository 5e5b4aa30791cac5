"""What the metrics and columns of a replayed trace mean."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.workloads.columns import ColumnInfo, MetricInfo

__all__ = ["METRICS", "PARTS", "TABLES"]

PARTS: tuple[tuple[str, str], ...] = (
    ("compute_s", "The GPU computes."),
    ("exposed_communication_s", "Collectives, sends and transfers to the host that run while it does not."),
    ("host_s", "The host's processor works while neither computation nor communication runs."),
    ("idle_s", "Nothing runs: waiting for other ranks."),
)
"""Seconds of one rank that add up to the iteration."""

_COMMUNICATION = ("communication_s", "Communication, hidden or not; what overlaps counts once.")

METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("iteration_s", "s", "Time to run the whole trace once.", "lower"),
    *(
        MetricInfo(name, "s", f"Per iteration, mean over the ranks: {text}", "lower")
        for name, text in (*PARTS, _COMMUNICATION)
    ),
)

_SECONDS = tuple(ColumnInfo(name, "s", text) for name, text in (*PARTS, _COMMUNICATION))

TABLES: Mapping[str, tuple[ColumnInfo, ...]] = {
    "iterations": (
        ColumnInfo("iteration", "", "Number from 0."),
        ColumnInfo("start_s", "s", "When it began."),
        ColumnInfo("duration_s", "s", "Its length, up to the end of the last node of all ranks."),
        *_SECONDS,
        ColumnInfo("trace_row", "", "Row of the activity that ended it, or -1."),
    ),
    "ranks": (
        ColumnInfo("rank", "", "Rank: the number of its file. Times are of the last iteration."),
        ColumnInfo("gpu", "", "The GPU that it runs on."),
        ColumnInfo("nodes", "1", "Nodes of its trace."),
        *_SECONDS,
    ),
}
