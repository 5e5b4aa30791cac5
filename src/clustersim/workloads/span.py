"""What ran from when to when, and what let it start: the chain behind an iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clustersim.engine.trace import NO_CAUSE, QUEUEING

__all__ = ["Span", "critical_shares"]


class Span:
    """An activity of a job.

    Parameters
    ----------
    cause
        What ended last of all that it waited for.
    shares
        Seconds by resource; they add up to its length.
    row
        Its row in the trace.
    """

    __slots__ = ("cause", "end_s", "row", "shares", "start_s")

    def __init__(
        self,
        cause: Span | None,
        start_s: float,
        end_s: float,
        shares: Mapping[str, float],
        row: int = NO_CAUSE,
    ) -> None:
        self.cause = cause
        self.start_s = start_s
        self.end_s = end_s
        self.shares = shares
        self.row = row


def critical_shares(last: Span, *, since_s: float) -> Iterator[Mapping[str, float]]:
    """Yield the shares of the activities that led to the end of `last`, back to `since_s`.

    What no activity explains is `queueing`.
    """
    cursor, span = last.end_s, last
    while span is not None and cursor > since_s:
        if span.end_s < cursor:
            gap_s = max(span.end_s, since_s)
            yield {QUEUEING: cursor - gap_s}
            cursor = gap_s
        start_s = max(span.start_s, since_s)
        if start_s < cursor:
            whole_s = span.end_s - span.start_s
            part = (cursor - start_s) / whole_s
            yield span.shares if part == 1.0 else {key: part * each for key, each in span.shares.items()}
            cursor = start_s
        following = span.cause
        if following is None:
            break
        span = following
    if cursor > since_s:
        yield {QUEUEING: cursor - since_s}
