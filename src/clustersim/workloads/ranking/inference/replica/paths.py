"""The critical paths of queries: what held up the batches that they were in, back to their arrival."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping

from clustersim.engine.trace import HOST
from clustersim.workloads.span import Span, critical_shares

__all__ = ["QueryPaths"]

_EVERY = 4096
"""Queries that are all followed; of those after them one of `_STRIDE`, which stands for as many."""
_STRIDE = 16
_KEPT = 4096
"""Batches of a pool that the path of a query may lead back over."""


class QueryPaths:
    """Follows the queries of one pool back along causes, and adds up the seconds by resource.

    A batch follows on the one that its worker was busy with, kernels on those before them on the device, a
    message on the one before it in its channel. What a batch did beside something that it had to wait for
    anyhow is on no path. A path ends with the arrival of its query; where clients send when they have their
    answer, it goes on with that answer, and the path of the last query is that of the whole run.

    **Valid when** followed queries stand for all, and none waits for more batches than are kept; what
    lies further back counts as waiting.
    **Checked by:** tests/study/test_radar_reruns.py.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._recent: deque[Span] = deque()
        self._ended: OrderedDict[float, Span] = OrderedDict()
        self._came: dict[int, Span] = {}
        self._last: Span | None = None
        self._closed = False

    def arrived(self, query: int, *, arrival_s: float, now_s: float) -> None:
        """Note a query that stands in the queue from now on; its client may have waited for another."""
        answer = self._ended.get(arrival_s)
        if answer is not None:
            self._closed = True
            self._came[query] = Span(answer, arrival_s, now_s, {HOST: now_s - arrival_s})

    def left(self, query: int) -> Span | None:
        """Return how a query that leaves the queue came to it; None where it came by itself."""
        return self._came.pop(query, None) if self._came else None

    def answered(self, query: int, last: Span | None, *, arrival_s: float, since_s: float) -> None:
        """Take a query that ended with `last`, and stood in the queue from `since_s` on."""
        if last is None or (query >= _EVERY and query % _STRIDE):
            return
        weight = 1.0 if query < _EVERY else float(_STRIDE)
        self._seconds[HOST] = self._seconds.get(HOST, 0.0) + weight * (since_s - arrival_s)
        for shares in critical_shares(last, since_s=since_s):
            for resource, seconds in shares.items():
                self._seconds[resource] = self._seconds.get(resource, 0.0) + weight * seconds

    def done(self, last: Span | None) -> None:
        """Keep the way of a batch that is done, and let go of the oldest."""
        if last is None:
            return
        self._last = last
        self._ended[last.end_s] = last
        if len(self._ended) > _KEPT:
            self._ended.popitem(last=False)
        self._recent.append(last)
        if len(self._recent) > _KEPT:
            span: Span | None = self._recent.popleft()
            while span is not None and not self._closed:
                span.cause, span = None, span.cause

    def seconds(self) -> Mapping[str, float]:
        """Return seconds by resource on the paths; of a closed loop on the one path of the whole run."""
        if not self._closed or self._last is None:
            return self._seconds
        total: dict[str, float] = {}
        for shares in critical_shares(self._last, since_s=_start_of(self._last)):
            for resource, seconds in shares.items():
                total[resource] = total.get(resource, 0.0) + seconds
        return total


def _start_of(span: Span) -> float:
    while span.cause is not None:
        span = span.cause
    return span.start_s
