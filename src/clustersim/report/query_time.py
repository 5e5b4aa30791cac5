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

__all__ = ["QUERY_PARTS", "band", "counted_queries", "latency_objective_s", "mean_parts"]

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


def mean_parts(queries: Table, chosen: np.ndarray | None = None) -> dict[str, float]:
    """Return the mean seconds of each part; they add up to the mean latency.

    *Equation.* part(r) = Σ share(r)·latency / queries, over those chosen.
    """
    latency_s = queries["latency_s"] if chosen is None else queries["latency_s"][chosen]
    found = {}
    for name in QUERY_PARTS:
        shares = queries.get(f"{name}_share")
        if shares is None or not len(latency_s):
            continue
        found[name] = float(np.mean((shares if chosen is None else shares[chosen]) * latency_s))
    return found


def latency_objective_s(result: Result, name: str) -> float | None:
    """Return the latency that a ranking service promises; None where it promises none."""
    for spec in result.scenario.workloads:
        if spec.name == name and isinstance(spec, RankingInferenceSpec):
            return spec.slo.latency
    return None
