"""A replica: pieces of queries wait in one queue, idle workers take them in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import simpy

from clustersim.workloads.ranking.inference.queries import Queries
from clustersim.workloads.ranking.inference.replica.batch import Batch
from clustersim.workloads.ranking.inference.replica.batch_log import BatchLog
from clustersim.workloads.ranking.inference.replica.batching import Piece, PieceQueue, pieces_of
from clustersim.workloads.ranking.inference.replica.paths import QueryPaths
from clustersim.workloads.ranking.inference.replica.profile import BatchTimer
from clustersim.workloads.ranking.inference.replica.rules import Rules
from clustersim.workloads.ranking.inference.replica.worker import Worker
from clustersim.workloads.span import Span

__all__ = ["RankingReplica"]


class RankingReplica:
    """Puts queries into batches and batches on workers.

    A worker that is idle takes a batch as soon as it is full, or its oldest piece has waited for the
    delay. Of several idle workers the one on the device with the fewest batches comes first.

    Parameters
    ----------
    env
        Clock.
    number
        Of the replica in its pool.
    workers
        On its devices.
    timer
        What batches go through.
    rules
        How batches are made.
    queries
        Columns of the service's queries.
    log
        Where batches are written.
    answered
        Called with each query whose last piece is done.
    rng
        Drawn from where batches scatter.
    paths
        Told what led to what.
    """

    def __init__(
        self,
        env: simpy.Environment,
        *,
        number: int,
        workers: Sequence[Worker],
        timer: BatchTimer,
        rules: Rules,
        queries: Queries,
        log: BatchLog,
        answered: Callable[[int], None],
        rng: np.random.Generator,
        paths: QueryPaths,
    ) -> None:
        self._env = env
        self._number = number
        self._timer = timer
        self._max_delay_s = rules.max_delay_s
        self._largest_piece = rules.largest_piece
        self._scatter = rules.scatter
        self._queries = queries
        self._log = log
        self._answered = answered
        self._rng = rng
        self.queue = PieceQueue(max_samples=rules.max_samples, even=rules.split is not None)
        self._idle = list(workers)
        self._paths = paths
        self._alarm_set = False
        self._due_s = -np.inf
        """Pieces that were submitted up to this time have waited for their delay."""

    def submit(self, query: int, samples: int) -> None:
        """Take in a query."""
        now_s, queue = self._env.now, self.queue
        for piece in pieces_of(query, samples, now_s, largest=self._largest_piece):
            queue.push(piece)
            self._queries.pieces[query] += 1
        self._dispatch(None)

    def _dispatch(self, freed_by: Span | None) -> None:
        """Put what is due on idle workers; `freed_by` is what has just freed one."""
        while self._idle and self.queue.pieces:
            if not self._is_due():
                self._set_alarm()
                return
            pieces, samples = self.queue.take(len(self._idle))
            self._run(self._next_worker(), pieces, samples, freed_by)

    def _is_due(self) -> bool:
        delay_s = self._max_delay_s
        if delay_s == 0.0 or self.queue.full:
            return True
        submitted_s = self.queue.pieces[0].submitted_s
        return submitted_s <= self._due_s or submitted_s + delay_s <= self._env.now

    def _set_alarm(self) -> None:
        """Look again when the oldest piece has waited long enough."""
        if self._alarm_set:
            return
        self._alarm_set = True
        submitted_s = self.queue.pieces[0].submitted_s

        def ring(_: simpy.Event) -> None:
            self._alarm_set = False
            self._due_s = submitted_s
            self._dispatch(None)

        timer = self._env.timeout(max(0.0, submitted_s + self._max_delay_s - self._env.now))
        assert timer.callbacks is not None  # it has just been made
        timer.callbacks.append(ring)

    def _next_worker(self) -> Worker:
        idle = self._idle
        if len(idle) == 1:
            return idle.pop()
        worker = min(idle, key=_load)
        idle.remove(worker)
        return worker

    def _run(self, worker: Worker, pieces: list[Piece], samples: int, freed_by: Span | None) -> None:
        now_s, dispatched_s = self._env.now, self._queries.dispatched_s
        for piece in pieces:
            if dispatched_s[piece.query] != dispatched_s[piece.query]:
                dispatched_s[piece.query] = now_s
        profile = self._timer.profile(samples, len(pieces))
        scatter = self._scatter
        factor = 1.0 if scatter == 0.0 else float(np.exp(scatter * self._rng.standard_normal()))
        worker.device.busy += 1
        came = [self._paths.left(piece.query) for piece in pieces]
        after = freed_by if freed_by is not None and pieces[0].submitted_s < now_s else _last_of(came)
        Batch(self._env, worker, pieces, samples, profile, factor, self._done, after=after).start()

    def _done(self, batch: Batch) -> None:
        worker, queries, now_s = batch.worker, self._queries, self._env.now
        row = self._log.append(
            batch.dispatched_s,
            now_s,
            batch.waited_s,
            batch.factor,
            batch.samples,
            len(batch.pieces),
            self._number,
            worker.number,
            batch.profile.number,
            batch.network_s,
        )
        worker.device.busy -= 1
        self._idle.append(worker)
        self._paths.done(batch.last)
        left = queries.pieces
        for piece in batch.pieces:
            query = piece.query
            left[query] -= 1
            if not left[query]:
                queries.finish_s[query] = now_s
                queries.batch[query] = row
                self._paths.answered(
                    query,
                    batch.last,
                    arrival_s=queries.arrival_s[query],
                    since_s=queries.submitted_s[query],
                )
                self._answered(query)
        self._dispatch(batch.last)


def _last_of(spans: Iterable[Span | None]) -> Span | None:
    """Return the one that ended last."""
    return max((span for span in spans if span is not None), key=lambda span: span.end_s, default=None)


def _load(worker: Worker) -> tuple[int, int]:
    return worker.device.busy, worker.number
