"""Means and percentiles of latencies, with how well they are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clustersim.workloads.inference.measures.groups import groups, metric_name
from clustersim.workloads.inference.measures.inter_token import inter_token_times
from clustersim.workloads.inference.measures.progressions import Progressions
from clustersim.workloads.inference.measures.served import Served
from clustersim.workloads.serving.confidence import (
    PERCENTILES,
    Estimate,
    estimates,
    least_samples,
)

__all__ = ["Statistic", "latency_statistics", "missing_percentiles_note", "statistics_table"]

_LATENCIES = ("ttft_s", "tpot_s", "e2e_s", "queue_s", "normalized_s")
"""Columns of the table of requests that statistics are given of."""


class Statistic(NamedTuple):
    """A mean or percentile of one latency of one group of requests."""

    tenant: str
    metric: str
    statistic: str
    estimate: Estimate
    samples: int

    @property
    def name(self) -> str:
        """Its name among the metrics."""
        return metric_name(self.metric, self.tenant, self.statistic)


def latency_statistics(served: Served, table: Mapping[str, np.ndarray]) -> list[Statistic]:
    """Return the statistics of all latencies, of everybody and of each tenant.

    Those of times between tokens have no intervals: the tokens of a step share its time.
    """
    return [
        statistic
        for group in groups(served)
        for statistic in (
            *_of_requests(table, group.tenant, group.chosen & served.columns.finished),
            *_of_tokens(served, group.tenant, group.chosen),
        )
    ]


def _of_requests(table: Mapping[str, np.ndarray], tenant: str, chosen: np.ndarray) -> Iterator[Statistic]:
    for metric in _LATENCIES:
        values = table[metric][chosen]
        values = values[np.isfinite(values)]
        for name, estimate in estimates(values).items():
            yield Statistic(tenant, metric, name, estimate, len(values))


def _of_tokens(served: Served, tenant: str, chosen: np.ndarray) -> Iterator[Statistic]:
    gaps = inter_token_times(served.columns, served.logs, chosen)
    if not gaps.total:
        return
    for name, value in {"mean": gaps.mean, **_percentiles(gaps)}.items():
        yield Statistic(tenant, "itl_s", name, Estimate(value, np.nan, np.nan), gaps.total)


def _percentiles(gaps: Progressions) -> dict[str, float]:
    given = {name: level for name, level in PERCENTILES.items() if gaps.total >= least_samples(level)}
    return dict(zip(given, gaps.quantiles(list(given.values())), strict=True))


def statistics_table(statistics: Sequence[Statistic]) -> dict[str, np.ndarray]:
    """Return one row per statistic; see `columns.STATISTIC_COLUMNS`."""
    return {
        "tenant": np.array([row.tenant for row in statistics], dtype=str),
        "metric": np.array([row.metric for row in statistics], dtype=str),
        "statistic": np.array([row.statistic for row in statistics], dtype=str),
        "value": np.array([row.estimate.value for row in statistics], dtype=float),
        "low": np.array([row.estimate.low for row in statistics], dtype=float),
        "high": np.array([row.estimate.high for row in statistics], dtype=float),
        "samples": np.array([row.samples for row in statistics], dtype=np.int64),
    }


def missing_percentiles_note(statistics: Sequence[Statistic]) -> str | None:
    """Say which percentiles are not given, because the requests were too few."""
    samples = max((row.samples for row in statistics if row.metric == "e2e_s" and not row.tenant), default=0)
    missing = [name for name, level in PERCENTILES.items() if samples < least_samples(level)]
    if not samples or not missing:
        return None
    least = max(least_samples(PERCENTILES[name]) for name in missing)
    return (
        f"{', '.join(missing)} of latencies is not given: it takes {least:,} finished requests, "
        f"there were {samples:,}"
    )
