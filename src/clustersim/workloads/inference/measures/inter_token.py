"""Times between the tokens of a request, of all requests, from the rows of the step logs.

*Equation.* A request that decodes through the rows r₁ < r₂ < … of its batch gets a token at the end of
each of their steps. The first step of row r brings it the gap start(r) + first(r) − end of the row before
in which its batch decoded, so that prompts of others which ran in between are in it; the further
steps of the row bring a + g·i. A request's first gap begins at its last token before it
joined the batch: the end of its prompt, of its move to this replica, or of its swap.

**Valid when** a step that brings several tokens (speculative decoding) counts as one.
**Checked by:** tests/workloads/test_inference_itl.py (against a list of every token's time).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clustersim.workloads.inference.measures.progressions import Progressions
from clustersim.workloads.inference.measures.request_columns import RequestColumns
from clustersim.workloads.inference.replica.step_log import StepLog

__all__ = ["inter_token_times"]


def inter_token_times(columns: RequestColumns, logs: Sequence[StepLog], chosen: np.ndarray) -> Progressions:
    """Return the distribution of gaps between tokens, each token of each chosen request once.

    Parameters
    ----------
    chosen
        Whether each request counts.
    """
    return Progressions.joined(
        part for replica, log in enumerate(logs) for part in _of_replica(columns, log, replica, chosen)
    )


def _of_replica(
    columns: RequestColumns, log: StepLog, replica: int, chosen: np.ndarray
) -> Iterator[Progressions]:
    spans = _spans(columns, log, replica, chosen)
    if len(spans.request):
        slots = log.column("slot")
        decoding = log.column("decodes") > 0
        rows = {slot: np.flatnonzero(decoding & (slots == slot)) for slot in np.unique(spans.slot).tolist()}
        last_s = _last_tokens(log, spans, rows)
        spans = spans.since(last_s)
        yield _computed_again(columns, replica, spans, last_s)
        for slot, own in rows.items():
            yield from _of_batch(log, spans.kept(spans.slot == slot), own)


@dataclass(frozen=True, eq=False)
class _Spans:
    """Stretches of rows of one log in which chosen requests decode, by request and then in order.

    From `start` to before `end`; `since_s` is when the last token was out before the first row, `left`
    whether the request lost its blocks at the end.
    """

    request: np.ndarray
    start: np.ndarray
    end: np.ndarray
    since_s: np.ndarray
    slot: np.ndarray
    left: np.ndarray

    def since(self, last_s: np.ndarray) -> _Spans:
        """Return them with the last token of the span before, where a request only moved to another batch."""
        moved = np.isnan(self.since_s)
        return replace(self, since_s=np.where(moved, np.roll(last_s, 1), self.since_s))

    def kept(self, chosen: np.ndarray) -> _Spans:
        """Return some of them."""
        return _Spans(*(column[chosen] for column in vars(self).values()))


def _spans(columns: RequestColumns, log: StepLog, replica: int, chosen: np.ndarray) -> _Spans:
    """Pair each joining of a request with its next leaving, or with its last row.

    What a request did before it was sent again, after a failure, is left out.
    """
    start, request, since_s, slot = (np.array(column) for column in log.joins)
    left_rows, leavers = (np.array(column, dtype=np.int64) for column in log.leaves)
    stride = len(log) + 2
    keys = np.append(np.sort(leavers * stride + left_rows), np.iinfo(np.int64).max)
    key = keys[np.searchsorted(keys[:-1], request * stride + start)]
    left = key // stride == request
    here = columns.finished[request] & (columns.replica[request] == replica)
    end = np.where(left, key % stride, np.where(here, columns.last_row[request] + 1, len(log)))
    valid = chosen[request] & ~(since_s < columns.first_token_s[request])
    # Stable, so that what happened at one row stays in the order in which it was written down.
    order = np.lexsort((start, request))
    spans = _Spans(request, start, end, since_s, slot, left).kept(order[valid[order]])
    moves = np.flatnonzero(np.isnan(spans.since_s))
    moves = moves[moves > 0]
    spans.end[moves - 1] = np.minimum(spans.end[moves - 1], spans.start[moves])
    spans.left[moves - 1] = False
    return spans


def _last_tokens(log: StepLog, spans: _Spans, rows: Mapping[int, np.ndarray]) -> np.ndarray:
    """When the last token of each span was out."""
    end_s = log.column("end_s")
    last_s = spans.since_s.copy()
    for slot, own in rows.items():
        mine = np.flatnonzero(spans.slot == slot)
        place = np.searchsorted(own, spans.end[mine]) - 1
        some = place >= np.searchsorted(own, spans.start[mine])
        last_s[mine[some]] = end_s[own[place[some]]]
    known = np.where(np.isnan(last_s), 0, np.arange(len(last_s)))
    return last_s[np.maximum.accumulate(known)]


def _computed_again(columns: RequestColumns, replica: int, spans: _Spans, last_s: np.ndarray) -> Progressions:
    """Gaps that end with the token of a prompt that was computed again."""
    same = spans.request[1:] == spans.request[:-1]
    between_s = (spans.since_s[1:] - last_s[:-1])[same]
    final = spans.left & ~np.append(same, False) & (columns.replica[spans.request] == replica)
    at_end_s = (columns.finish_s[spans.request] - last_s)[final & columns.finished[spans.request]]
    gaps_s = np.concatenate([between_s, at_end_s])
    gaps_s = gaps_s[gaps_s > 0.0]
    return Progressions.singles(gaps_s, np.ones(len(gaps_s), dtype=np.int64))


def _of_batch(log: StepLog, spans: _Spans, rows: np.ndarray) -> Iterator[Progressions]:
    """Gaps of one of the batches that a replica has in flight, in the rows in which it decodes."""
    if not len(rows):
        return
    start, end = np.searchsorted(rows, spans.start), np.searchsorted(rows, spans.end)
    some = end > start
    start, end, since_s = start[some], end[some], spans.since_s[some]
    names = ("start_s", "end_s", "first_s", "steps")
    start_s, end_s, first_s, steps = (log.column(name)[rows] for name in names)
    first_end_s = start_s + first_s
    joining = np.bincount(start, minlength=len(rows) + 1)
    decodes = np.cumsum(joining - np.bincount(end, minlength=len(rows) + 1))[: len(rows)]
    yield Progressions.singles(first_end_s[start] - since_s, np.ones(len(start), dtype=np.int64))
    before_s = np.concatenate([first_end_s[:1], end_s[:-1]])
    yield Progressions.singles(first_end_s - before_s, decodes - joining[: len(rows)])
    pairs = 0.5 * steps * (steps - 1)
    growth_s = np.divide(end_s - start_s - steps * first_s, pairs, out=np.zeros(len(rows)), where=steps > 1)
    growth_s = np.where(growth_s * steps > 1e-9 * first_s, growth_s, 0.0)
    yield Progressions.runs(first_s + growth_s, growth_s, steps - 1, decodes)
