"""What services of each kind call their latencies, and how a study measures them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clustersim.spec.inference import InferenceSpec
from clustersim.spec.ranking.inference import RankingInferenceSpec

__all__ = ["SERVICE_KINDS", "Latency", "ServiceSpec", "answered_per_s", "latencies_of", "share_of", "work_of"]

ServiceSpec = InferenceSpec | RankingInferenceSpec
"""A workload whose load can be searched."""
SERVICE_KINDS = ("inference", "ranking-inference")


class Latency(NamedTuple):
    """A latency that a service may promise something of.

    Parameters
    ----------
    objective
        Field of the service's `slo`.
    metric
        Its name among the metrics, without statistic.
    short, words
        What tables and pictures call it.
    limit_s
        What is promised; None: nothing.
    """

    objective: str
    metric: str
    short: str
    words: str
    limit_s: float | None


_OF_ANSWERS = (
    ("ttft", "ttft_s", "TTFT", "time to first token"),
    ("tpot", "tpot_s", "TPOT", "time per output token"),
    ("e2e", "e2e_s", "whole answer", "whole answer"),
)
_OF_QUERIES = (("latency", "latency_s", "latency", "latency"),)


def latencies_of(spec: ServiceSpec) -> tuple[Latency, ...]:
    """Return the latencies of a service, with what it promises of them."""
    known = _OF_QUERIES if isinstance(spec, RankingInferenceSpec) else _OF_ANSWERS
    return tuple(Latency(*names, getattr(spec.slo, names[0])) for names in known)


def share_of(spec: ServiceSpec) -> float:
    """Return the share of requests that has to keep the objectives, where a study says no other."""
    return spec.slo.share if isinstance(spec, RankingInferenceSpec) else 0.99


def work_of(spec: ServiceSpec) -> str:
    """Return what is sent to a service: `requests`, `queries`."""
    return "queries" if isinstance(spec, RankingInferenceSpec) else "requests"


def answered_per_s(metrics: Mapping[str, float]) -> float:
    """Return the answers per second of a service of either kind; 0 where there are none."""
    return metrics.get("requests_per_s", metrics.get("queries_per_s", 0.0))
