"""What a reader of a service's results must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from clustersim.workloads.inference.measures.served import Served
from clustersim.workloads.inference.measures.statistics import Statistic, missing_percentiles_note
from clustersim.workloads.serving.overload import queue_growth
from clustersim.workloads.serving.warm_up import suggested_warmup_s

__all__ = ["service_notes"]


def service_notes(
    served: Served, table: Mapping[str, np.ndarray], statistics: Sequence[Statistic], *, all_sent: bool
) -> Iterator[str]:
    """Yield notes on a growing queue, the start-up, percentiles that are missing, and requests that are.

    Parameters
    ----------
    all_sent
        Whether no more requests will be sent.
    """
    growth = queue_growth(served.columns.arrival_s, served.columns.finish_s)
    overloaded = growth is not None and growth.unbounded
    if growth is not None and overloaded:
        yield growth.note(served.slo.ttft)
    if all_sent and not table["counted"].any():
        yield _nothing_counted(len(table["counted"]))
    if all_sent and not overloaded and served.warmup_s == 0.0:
        yield from _warm_up(served, table)
    missing = missing_percentiles_note(statistics)
    if missing is not None:
        yield missing
    unfinished = int((~served.columns.finished).sum()) - (served.fleet.lost if served.fleet else 0)
    if unfinished and served.now_s > served.start_s:
        yield f"{unfinished} requests were sent and not finished when the run stopped"


def _nothing_counted(sent: int) -> str:
    """Why there are no latencies where the service is open no more and counted nobody."""
    if sent:
        return f"all {sent} requests arrived during the warm-up; none is counted"
    return "no request was sent: none arrived before the service closed"


def _warm_up(served: Served, table: Mapping[str, np.ndarray]) -> Iterator[str]:
    finished = served.columns.finished
    warmup_s = suggested_warmup_s(
        table["arrival_s"][finished], table["e2e_s"][finished], start_s=served.start_s
    )
    if warmup_s is not None:
        yield (
            f"the first {warmup_s:.3g} s differ from the rest and move the mean of e2e by more than 5 %: "
            f"'warmup: {warmup_s:.3g} s' leaves them out (MSER-5)"
        )
