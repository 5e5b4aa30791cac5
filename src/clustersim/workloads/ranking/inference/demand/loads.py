"""Who sends the queries: an open stream that does not care, or clients that wait for answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import simpy

from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.workloads.ranking.inference.demand.candidates import CandidateStream

__all__ = ["ClosedQueries", "Load", "OpenQueries", "QueryHost", "Send"]

Process = Generator[simpy.Event, Any, None]
Send = Callable[[float, int, Callable[[], object] | None], None]
"""Takes arrival, candidates, and what to call with the answer."""
_BLOCK = 4096


@dataclass(frozen=True)
class QueryHost:
    """What the host does for a query outside the workers.

    *Equation.* T = query_s + sample_s·candidates, before it stands in the queue: a delay that holds nobody
    else up.
    """

    query_s: float = 0.0
    sample_s: float = 0.0

    @classmethod
    def of(cls, engine: RankingEngine, *, speed: float) -> Self:
        """Return what an engine's host does, on one that is `speed` times as fast."""
        return cls(engine.query_host_s / speed, engine.query_sample_host_s / speed)

    def seconds(self, samples: int) -> float:
        """Return the delay of a query."""
        return self.query_s + self.sample_s * samples

    def all_seconds(self, samples: np.ndarray) -> np.ndarray:
        """Return the delays of queries."""
        delays: np.ndarray = self.query_s + self.sample_s * samples
        return delays


class Load(Protocol):
    """A process that sends queries and ends when it will send no more."""

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Send queries from now on."""


class OpenQueries:
    """Queries at given times, however long the answers take.

    Parameters
    ----------
    arrival_s
        Seconds after the opening, in order.
    samples
        Candidates.
    host
        Delays queries before they are sent.
    """

    def __init__(self, arrival_s: np.ndarray, samples: np.ndarray, host: QueryHost) -> None:
        self._arrival_s = arrival_s
        self._samples = samples
        self._host = host

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Send each query when the host has taken it in."""
        start_s = env.now
        for arrival_s, due_s, samples in self._rows():
            at_s = start_s + due_s
            if at_s > env.now:
                yield env.timeout(at_s - env.now)
            send(start_s + arrival_s, samples, None)

    def _rows(self) -> Iterator[tuple[float, float, int]]:
        """Rows in order of their coming out of the host, of some thousand queries at a time."""
        due_s = self._arrival_s + self._host.all_seconds(self._samples)
        order = np.argsort(due_s, kind="stable")
        for start in range(0, len(order), _BLOCK):
            block = order[start : start + _BLOCK]
            columns = (self._arrival_s[block], due_s[block], self._samples[block])
            yield from zip(*(column.tolist() for column in columns), strict=True)


class ClosedQueries:
    """Clients that each send, wait for the answer, think, and send again.

    Parameters
    ----------
    clients
        How many; each has at most one query outstanding.
    think_s
        Mean of the exponential pause between an answer and the next query; with a pause, clients also
        begin with one.
    candidates
        In the order of sending.
    streams
        Random stream of each client's pauses.
    duration_s, queries
        Send none after this time, and no more than so many.
    host
        Delays queries before they are sent.
    """

    def __init__(
        self,
        *,
        clients: int,
        think_s: float,
        candidates: CandidateStream,
        streams: Callable[[int], np.random.Generator],
        duration_s: float | None,
        queries: int | None,
        host: QueryHost,
    ) -> None:
        self._clients = clients
        self._think_s = think_s
        self._candidates = candidates
        self._streams = streams
        self._duration_s = np.inf if duration_s is None else duration_s
        self._left = np.inf if queries is None else queries
        self._host = host

    def run(self, env: simpy.Environment, send: Send) -> Process:
        """Start all clients; end when the last one stops."""
        end_s = env.now + self._duration_s
        clients = [
            env.process(self._client(env, send, self._streams(index), end_s))
            for index in range(self._clients)
        ]
        yield env.all_of(clients)

    def _client(self, env: simpy.Environment, send: Send, rng: np.random.Generator, end_s: float) -> Process:
        while True:
            if self._think_s:
                yield env.timeout(rng.exponential(self._think_s))
            if self._left <= 0 or env.now > end_s:
                return
            self._left -= 1
            answered, arrival_s, samples = env.event(), env.now, self._candidates.next()
            host_s = self._host.seconds(samples)
            if host_s:
                yield env.timeout(host_s)
            send(arrival_s, samples, answered.succeed)
            yield answered
