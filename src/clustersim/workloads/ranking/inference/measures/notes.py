"""What a reader of a ranking service's results must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clustersim.workloads.ranking.inference.measures.metrics import PERCENTILES
from clustersim.workloads.ranking.inference.measures.served import ServedQueries
from clustersim.workloads.serving.confidence import Estimate, least_samples
from clustersim.workloads.serving.overload import queue_growth
from clustersim.workloads.serving.warm_up import suggested_warmup_s

__all__ = ["service_notes"]


def service_notes(
    served: ServedQueries, latencies: Mapping[str, Mapping[str, Estimate]], *, all_sent: bool
) -> Iterator[str]:
    """Yield notes on a growing queue, the start-up, percentiles that are missing, and unanswered queries.

    Parameters
    ----------
    all_sent
        Whether no more queries will be sent.
    """
    growth = queue_growth(served.arrival_s, served.finish_s)
    overloaded = growth is not None and growth.unbounded
    if growth is not None and overloaded:
        yield growth.note(served.slo.latency, objective="latency", unit="queries")
    if all_sent and not served.counted.any():
        sent = len(served.counted)
        yield (
            f"all {sent} queries arrived during the warm-up; none is counted"
            if sent
            else "no query was sent: none arrived before the service closed"
        )
    if all_sent and not overloaded and served.warmup_s == 0.0:
        yield from _warm_up(served)
    yield from _missing(served, latencies["latency_s"])
    unfinished = int((~served.finished).sum())
    if unfinished and served.now_s > served.start_s:
        yield f"{unfinished} queries were sent and not answered when the run stopped"


def _missing(served: ServedQueries, found: Mapping[str, Estimate]) -> Iterator[str]:
    samples = int((served.counted & served.finished).sum())
    missing = [name for name in PERCENTILES if name not in found]
    if samples and missing:
        least = max(least_samples(PERCENTILES[name]) for name in missing)
        yield (
            f"{', '.join(missing)} of latencies is not given: it takes {least:,} answered queries, "
            f"there were {samples:,}"
        )


def _warm_up(served: ServedQueries) -> Iterator[str]:
    done = served.finished
    warmup_s = suggested_warmup_s(served.arrival_s[done], served.latency_s[done], start_s=served.start_s)
    if warmup_s is not None:
        yield (
            f"the first {warmup_s:.3g} s differ from the rest and move the mean latency by more than 5 %: "
            f"'warmup: {warmup_s:.3g} s' leaves them out (MSER-5)"
        )
