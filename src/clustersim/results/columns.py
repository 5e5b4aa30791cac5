"""What every output means: metrics and columns of all workload kinds and of the fabric.

The tables of each kind live beside its code (`workloads/<kind>/columns.py`); frames,
comparison and the page of outputs read them through this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from clustersim.spec.scenario import FABRIC
from clustersim.workloads.columns import ColumnInfo, MetricInfo

__all__ = ["FABRIC", "KINDS", "documented_metrics", "documented_tables", "metric_info"]

KINDS = ("training", "inference", "chakra", "ranking-training", "ranking-inference")
"""Workload kinds that are documented; a kind of one's own falls back on names and suffixes."""

_FABRIC_METRICS = (
    MetricInfo(
        "busiest_link_utilization",
        "1",
        "Highest utilisation of a link: mean over the run, or largest bin of the time series.",
        "neither",
    ),
    MetricInfo("saturated_s", "s", "Time at full capacity of the link that was full longest.", "lower"),
    MetricInfo(
        "protocol_bound_s",
        "s",
        "Longest time that a link held one workload back at the rate of the workload's own protocol.",
        "lower",
    ),
    MetricInfo("saturated_links", "1", "Links that were at full capacity at any time.", "lower"),
    MetricInfo(
        "carried_bytes", "B", "Bytes over all links (a byte counts once per link it crosses).", "neither"
    ),
)

_FABRIC_COLUMNS = (
    ColumnInfo("link", "", "Name, `source>target`."),
    ColumnInfo("tier", "", "Tier of the topology: scale-up, nic, leaf-spine, …"),
    ColumnInfo("kind", "", "Technology: nvlink, pcie, ethernet, infiniband, …"),
    ColumnInfo("capacity_bytes_per_s", "B/s", "Usable rate in this direction."),
    ColumnInfo("carried_bytes", "B", "Bytes carried."),
    ColumnInfo("mean_utilization", "1", "Carried bytes over capacity times duration."),
    ColumnInfo("max_utilization", "1", "Largest bin of the time series."),
    ColumnInfo("saturated_s", "s", "Time at full capacity."),
    ColumnInfo("first_saturated_s", "s", "When it was first at full capacity; empty if never."),
    ColumnInfo("last_saturated_s", "s", "When that ended last; empty if never."),
    ColumnInfo(
        "protocol_bound_s",
        "s",
        "Time in which it held one workload's collectives back at the rate of their own protocol, full "
        "or not; of the workload with most.",
    ),
)

_SHARING_COLUMNS = (
    ColumnInfo("link", "", "Name, `source>target`."),
    ColumnInfo("workload", "", "Who moved the bytes; `(no workload)` for what moved in nobody's name."),
    ColumnInfo("owner", "", "Which part of it, where it has several: a replica, `chat.1`."),
    ColumnInfo("traffic", "", "What for: all-reduce, all-to-all, …, transfer."),
    ColumnInfo("carried_bytes", "B", "Bytes of it that crossed the link."),
    ColumnInfo("share", "1", "Of all bytes that crossed the link."),
    ColumnInfo("held_back_s", "s", "Time in which it was held back because the link was full."),
    ColumnInfo(
        "protocol_bound_s",
        "s",
        "Time in which the link, as the slowest on its way, held it back at the rate of its own protocol.",
    ),
)

_RATES_COLUMNS = (
    ColumnInfo("workload", "", "Whose flows; `(no workload)` for nobody's."),
    ColumnInfo("owner", "", "Which part of it, as in `sharing`."),
    ColumnInfo("traffic", "", "What for, as in `sharing`."),
    ColumnInfo(
        "route", "", "From where to where; for other routes than one path the first link, and how many more."
    ),
    ColumnInfo("start_s", "s", "Start of a span of constant rate."),
    ColumnInfo("end_s", "s", "End of it."),
    ColumnInfo("rate_bytes_per_s", "B/s", "Rate of one connection, all flows of the route together."),
    ColumnInfo("held_by", "", "The link that held them back, or `own protocol`."),
)

_SUFFIX_UNITS = {
    "_bytes_per_s": "B/s",
    "_tokens_per_s": "tokens/s",
    "_per_s": "1/s",
    "_flops": "FLOP",
    "_bytes": "B",
    "_s": "s",
}


def documented_metrics(kind: str) -> Mapping[str, MetricInfo]:
    """Return the metrics of a workload kind (or `fabric`) by name without statistic."""
    if kind == FABRIC:
        infos: Iterable[MetricInfo] = _FABRIC_METRICS
    else:
        infos = getattr(_columns_module(kind), "METRICS", ())
    return {info.name: info for info in infos}


def documented_tables(kind: str) -> Mapping[str, tuple[ColumnInfo, ...]]:
    """Return the columns of each table of a workload kind (or `fabric`; `rates` only where kept)."""
    if kind == FABRIC:
        return {"links": _FABRIC_COLUMNS, "sharing": _SHARING_COLUMNS, "rates": _RATES_COLUMNS}
    return dict(getattr(_columns_module(kind), "TABLES", {}))


def metric_info(kind: str, metric: str) -> MetricInfo:
    """Return unit, meaning and direction of a flat metric such as `ttft_s.p99` or `work.flops_per_unit`.

    A metric that is not documented gets its unit from its suffix and no direction.
    """
    documented = documented_metrics(kind)
    name = metric if metric in documented else metric.partition(".")[0]
    known = documented.get(name)
    if known is not None:
        return known
    unit = next((unit for suffix, unit in _SUFFIX_UNITS.items() if name.endswith(suffix)), "1")
    return MetricInfo(name, unit, "", "neither")


def _columns_module(kind: str) -> object | None:
    """Return the module that documents a kind: `ranking-training` is `workloads/ranking/training`."""
    parts = kind.split("-")
    name = ".".join(("clustersim.workloads", *parts))
    if not all(part.isidentifier() for part in parts) or not _is_there(parts):
        return None
    return import_module(f"{name}.columns")


def _is_there(parts: Sequence[str]) -> bool:
    """Whether there is a package of workloads of this path."""
    names = (".".join(("clustersim.workloads", *parts[: length + 1])) for length in range(len(parts)))
    return all(find_spec(name) is not None for name in names)
