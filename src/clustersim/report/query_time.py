"""What the time of ranking queries consists of, of all of them and of the slowest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from clustersim.results.bottleneck import RESOURCE_NAMES
from clustersim.spec.ranking.inference import RankingInferenceSpec

if TYPE_CHECKING:
    from clustersim.results import Result
    from clustersim.workloads.base import Table

__all__ = [
    "QUERY_PARTS",
    "band",
    "counted_queries",
    "latency_objective_s",
    "mean_of",
    "parts_by_resource",
    "parts_by_stage",
]

QUERY_PARTS: Mapping[str, str] = {
    "queueing": "waiting for others",
    **{name: words for name, words in RESOURCE_NAMES.items() if name != "queueing"},
}
"""Resources that the time of a query is split into, and their words."""


def counted_queries(table: Table) -> Table:
    """Return the queries that metrics count, those with an answer."""
    chosen = np.isfinite(table["latency_s"]) & np.asarray(table["counted"], dtype=bool)
    return {name: np.asarray(values)[chosen] for name, values in table.items()}


def band(latency_s: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which queries are between two shares of all, in the order of their latency.

    `band(latency_s, 0.99, 1)` is the slowest hundredth; at least one query wherever there is any.
    """
    count = len(latency_s)
    order = np.argsort(latency_s, kind="stable")
    first = min(int(low * count), count - 1) if count else 0
    last = max(round(high * count), first + 1)
    chosen = np.zeros(count, dtype=bool)
    chosen[order[first:last]] = True
    return chosen


def parts_by_resource(queries: Table) -> dict[str, np.ndarray]:
    """Return the seconds that each resource took of each query; they add up to its latency."""
    return {
        name: queries[f"{name}_share"] * queries["latency_s"]
        for name in QUERY_PARTS
        if f"{name}_share" in queries
    }


def parts_by_stage(queries: Table, visits: Table) -> dict[str, np.ndarray]:
    """Return the seconds that each query spent in each pool; they add up to its latency.

    A pool that a query did not come to took no time of it.
    """
    place = np.searchsorted(queries["query"], visits["query"])
    place[place == len(queries["query"])] = 0
    known = queries["query"][place] == visits["query"]
    found = {}
    for pool in dict.fromkeys(visits["pool"].tolist()):
        own = known & (visits["pool"] == pool)
        seconds = (visits["finish_s"] - visits["begin_s"])[own]
        found[str(pool)] = np.bincount(place[own], weights=seconds, minlength=len(queries["query"]))
    return found


def mean_of(parts: Mapping[str, np.ndarray], chosen: np.ndarray | None = None) -> dict[str, float]:
    """Return the mean of each part, over those chosen."""
    return {
        name: float(np.mean(values if chosen is None else values[chosen])) for name, values in parts.items()
    }


def latency_objective_s(result: Result, name: str) -> float | None:
    """Return the latency that a ranking service promises; None where it promises none."""
    for spec in result.scenario.workloads:
        if spec.name == name and isinstance(spec, RankingInferenceSpec):
            return spec.slo.latency
    return None
